"""What an act is going to do, in sentences with names, and what there is to choose."""

import re
from dataclasses import dataclass
from datetime import datetime

from monitor.domain.acts import Act
from monitor.domain.eligibility import Block
from monitor.domain.outcome import OUTCOME_WORDS, Outcome
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.acting import Scene
from monitor.storage.outlook import PurposeOutlook
from monitor.web.page.words import BLOCK_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of those that may be chosen.

    Attributes:
        value: as the form sends it.
        name: for a person.
        words: how it stands.
        is_fit: it may be chosen without further ado.
    """

    value: str
    name: str
    words: str
    is_fit: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An act before it is done.

    Attributes:
        title: what it is.
        will: what is going to happen.
        button: what does it.
        seen: for `By.seen`.
        choices: one of them has to be chosen; empty when there is nothing to choose.
        chosen: the choice that is taken unless another one is.
        fixed: only that one is meant; no other is offered.
        legend: what is chosen.
        field: the choice's name in the form.
        warning: why one should think twice, or None.
        no_end: what lasting without an end is called; None when it has no end to choose.
        asks_begin: whether it may begin later.
        asks_reason: whether a reason is kept.
        offers_force: whether somebody who is not fit may be chosen by force.
    """

    title: str
    will: str
    button: str
    seen: str = ""
    choices: tuple[Choice, ...] = ()
    chosen: Choice | None = None
    fixed: bool = False
    legend: str = ""
    field: str = "to"
    warning: str | None = None
    no_end: str | None = None
    asks_begin: bool = False
    asks_reason: bool = True
    offers_force: bool = False


class Names:
    """The operator's names, told apart by the row where two are the same."""

    def __init__(self, scene: Scene) -> None:
        self._names = scene.names

    def __call__(self, ref: ProviderRef | None) -> str:
        """A provider for a person."""
        if ref is None:
            return "nobody"
        name = self._names.get(ref, "")
        same = sum(one == name for one in self._names.values()) > 1
        return f"{name} ({ref})" if name and same else name or str(ref)


def plan_purpose(
    act: Act,
    outlook: PurposeOutlook,
    wanted: ProviderRef | None = None,
    *,
    fixed: bool = False,
    exact: bool = False,
) -> Plan:
    """What an act on a purpose is going to do.

    Args:
        act: promote, pin, unpin, pause or resume.
        outlook: how the purpose stands.
        wanted: onto whom, where that was said.
        fixed: nobody else is offered.
        exact: the sentence is about the one that is proposed: whoever chooses another one asks again.
    """
    scene = outlook.scene
    name, purpose, active = Names(scene), scene.purpose, scene.row_or_refuse().active
    if act in (Act.PROMOTE, Act.PIN):
        return _plan_move(act, outlook, wanted, fixed=fixed, exact=exact)
    if act is Act.UNPIN:
        return Plan(title=f"Unpin {purpose}", will=_unpin(scene, name), button="Unpin", seen=outlook.seen)
    paused = scene.state is not None and scene.state.paused
    if act is Act.PAUSE:
        will = (
            f"{purpose} is paused already: nothing will change."
            if paused
            else f"Nothing will move {purpose} by itself until it is resumed: {name(active)} keeps "
            "serving, also when it fails. Probes go on."
        )
        return Plan(title=f"Pause {purpose}", will=will, button="Pause", seen=outlook.seen)
    will = (
        f"The rules decide again who serves {purpose}. What failed meanwhile counts: it may move at once."
        if paused
        else f"{purpose} is not paused: nothing will change."
    )
    return Plan(title=f"Resume {purpose}", will=will, button="Resume", seen=outlook.seen)


def _plan_move(
    act: Act, outlook: PurposeOutlook, wanted: ProviderRef | None, *, fixed: bool, exact: bool
) -> Plan:
    scene, purpose = outlook.scene, outlook.scene.purpose
    name, active = Names(scene), scene.row_or_refuse().active
    # Who serves is offered to be pinned; to promote it is to pin it for a while, and less clear.
    offered = [ref for ref in outlook.offered if act is Act.PIN or ref != active or ref == wanted]
    choices = {ref: _choice(scene, name, ref) for ref in offered if scene.standings[ref].enabled}
    if len(choices) == 1:
        wanted, fixed = next(iter(choices)), True
    said = choices.get(wanted) if wanted else None
    fit = [one for ref, one in choices.items() if one.is_fit and ref != active]
    keeps = [choices[active]] if act is Act.PIN and active in choices else []
    chosen = said or next(iter((*keeps, *fit, *choices.values())), None)
    if exact and said is None and chosen is not None:
        said, wanted = chosen, next(ref for ref, one in choices.items() if one is chosen)
    if chosen is None:
        will = f"{purpose} is served by {name(active)}, and nobody else is there who might take over."
    else:
        will = _moves(act, scene, name, wanted if said else None)
    verb, noun = ("Pin", "keep") if act is Act.PIN else ("Promote", "move")
    meant = (chosen,) if fixed and said else tuple(choices.values())
    return Plan(
        title=f"{verb}: {noun} {purpose}",
        will=will,
        button=verb if chosen else "",
        seen=outlook.seen,
        choices=tuple(choices.values()),
        chosen=chosen,
        fixed=fixed and said is not None,
        legend="Onto whom",
        warning=f"{said.name} {said.words}." if said and not said.is_fit else None,
        no_end="until it is unpinned",
        offers_force=any(one is not None and not one.is_fit for one in meant),
    )


def _moves(act: Act, scene: Scene, name: Names, onto: ProviderRef | None) -> str:
    """The sentence; in general terms while it is not said onto whom."""
    purpose, active = scene.purpose, scene.row_or_refuse().active
    if onto is None:
        will, that = f"{purpose} will move now from {name(active)} to the one chosen below.", "that one"
    elif onto == active:
        will, that = f"{purpose} stays with {name(onto)}.", name(onto)
    else:
        will, that = f"{purpose} will move from {name(active)} to {name(onto)} now.", name(onto)
    if act is Act.PIN:
        until = "until it is unpinned or the end chosen below comes"
        return f"{will} It stays there whatever happens, also when {that} fails, {until}."
    if onto is not None and scene.order[:1] == (onto,):
        return f"{will} {that} is the preferred one: nothing is held, and the rules decide on."
    return (
        f"{will} It returns by itself only after it is unpinned, or when the end chosen below has come. "
        f"Should {that} fail, it fails over as ever."
    )


def _choice(scene: Scene, name: Names, ref: ProviderRef) -> Choice:
    unfit = scene.standings[ref].unfit(scene.purpose)
    strange = ref != scene.row_or_refuse().active and scene.purpose is Purpose.EMBEDDINGS
    if unfit is None and strange and scene.same_space(ref) is not True:
        unfit = "is not known to share the vector space: with it in one index the search breaks"
    words = in_words(unfit) if unfit else "is fit to serve"
    if scene.row is not None and ref == scene.row.active:
        words = f"serves now, and {words}"
    return Choice(value=str(ref), name=name(ref), words=words, is_fit=unfit is None)


def in_words(text: str) -> str:
    """A reason with the names of outcomes and blocks spelled out."""
    outcomes, blocks = set(Outcome), set(Block)
    text = re.sub(
        r"\((\w+)\)",
        lambda one: f"({OUTCOME_WORDS[Outcome(one[1])]})" if one[1] in outcomes else one[0],
        text,
    )
    head, is_blocked, named = text.partition(" is blocked: " if " is blocked: " in text else "is blocked: ")
    words = [BLOCK_WORDS[Block(one)] if one in blocks else one for one in named.split(",")]
    return f"{head}{is_blocked}{' and '.join(words)}" if is_blocked else text


def _unpin(scene: Scene, name: Names) -> str:
    state, purpose = scene.state, scene.purpose
    if state is not None and state.pinned is not None:
        ends = f"{purpose} is no longer pinned to {name(state.pinned)}"
    elif state is not None and state.held:
        ends = f"What holds the return of {purpose} after the promotion ends"
    else:
        return f"{purpose} is neither pinned nor held: nothing will change."
    first, active = scene.order[:1], scene.row_or_refuse().active
    if first and first[0] != active:
        onto = f"it may return to {name(first[0])}, the preferred one, once that has been well for its hold"
        return f"{ends}, and the rules decide again: {onto}."
    return f"{ends}, and the rules decide again: {name(active)} serves on while it is well."


def instant(moment: datetime) -> str:
    """An instant for a person; UTC, as everywhere on the page."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
