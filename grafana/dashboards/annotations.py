"""What happened, drawn across every graph."""

from grafana_foundation_sdk.models.dashboard import AnnotationQuery
from grafana_foundation_sdk.models.prometheus import Dataquery

from grafana.dashboards.panels import DATASOURCE
from grafana.dashboards.queries import EVERY_PROVIDER, PROVIDER_KEY, PURPOSE, select
from grafana.dashboards.words import BLUE, RED

_STEP = "60s"
# A move must not fall between two steps: both scrapes around it lie within this.
_AROUND = "3m"
_BEFORE = "2m"


class PrometheusAnnotation(AnnotationQuery):
    """An annotation with what Grafana's Prometheus plugin reads besides the expression.

    Args:
        name: on the switch that hides it.
        color: of its mark.
        expr: a mark wherever it gives something.
        title: of the mark; labels stand in double braces.
    """

    def __init__(self, name: str, color: str, expr: str, title: str) -> None:
        super().__init__(name=name, datasource=DATASOURCE, enable=True, icon_color=color, expr=expr)
        self.title = title

    def to_json(self) -> dict[str, object]:
        """Its JSON, whole; Grafana 12 reads the target, and 11 what stands beside it."""
        target = Dataquery(
            ref_id="A",
            expr=self.expr or "",
            interval=_STEP,
            range_val=True,
            instant=False,
            datasource=DATASOURCE,
        )
        beside: dict[str, object] = {"step": _STEP, "titleFormat": self.title, "tagKeys": "purpose"}
        return super().to_json() | beside | {"target": target}


def annotations(*, by_purpose: bool) -> list[AnnotationQuery]:
    """Moves and stranded spans; `by_purpose`: of the chosen purposes alone."""
    matcher = PURPOSE if by_purpose else 'purpose=~".+"'
    active, info = select("active_provider", matcher), select("provider_info", EVERY_PROVIDER)

    def serving(past: str) -> str:
        join = f"on ({PROVIDER_KEY}) group_left (name)"
        return f"max by (purpose, name) ({active}{past} * {join} {info}{past})"

    moved = f"max by (purpose) (changes({select('active_generation', matcher)}[{_AROUND}])) > 0"
    newly = f"({serving('')} unless {serving(f' offset {_BEFORE}')}) and on (purpose) ({moved})"
    stranded = f"max by (purpose) ({select('purpose_stranded', matcher)}) == 1"
    return [
        PrometheusAnnotation("Moves", BLUE, newly, "{{name}} serves {{purpose}}"),
        PrometheusAnnotation("Stranded", RED, stranded, "nobody is fit to serve {{purpose}}"),
    ]
