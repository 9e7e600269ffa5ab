"""`python -m grafana.dashboards` writes the JSON of every dashboard."""

from grafana.dashboards import DASHBOARDS, FOLDER, text


def main() -> None:
    """Write them, each to its own file."""
    FOLDER.mkdir(exist_ok=True)
    for name, build in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(text(build()), encoding="utf-8")


if __name__ == "__main__":
    main()
