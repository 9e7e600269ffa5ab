"""`llm-monitor candidates`: the order in which an operator wants them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.acting import Names, Reason, act, tell
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import PurposeName, find_purpose

if TYPE_CHECKING:
    from monitor.domain.provider import ProviderRef
    from monitor.storage.operator import Acted, By

Providers = Annotated[
    list[str], typer.Argument(metavar="PROVIDER...", help="Best first: rows, as in ai_server:2, or names.")
]
NewSpace = Annotated[
    bool, typer.Option("--force", help="For embeddings: also when the vector space may change.")
]


def candidates(
    purpose: PurposeName,
    providers: Providers,
    reason: Reason = None,
    force: NewSpace = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Set the order of a purpose. Who serves stays, and changes only by the rules."""
    settings = read_settings(config, env_file, data_dir)
    wanted = find_purpose(purpose)

    async def do(connection: Any, names: Names, by: "By") -> "tuple[Acted, list[ProviderRef]]":
        from monitor.storage.operator import set_candidates

        refs = [names.find(one) for one in providers]
        return await set_candidates(connection, wanted, refs, by, force=force), refs

    (acted, refs), names = act(settings, do, reason)
    order = ", ".join(names.called(ref) for ref in refs)
    text = f"{names.called(acted.active)} serves; the order is {order}."
    return tell(acted, names, text, as_json=as_json)
