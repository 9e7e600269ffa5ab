// What a dashboard of ours is, in Grafana's own types. A literal that is assigned to one of these has every field that
// Grafana wants, with a value that it knows, and no field that it does not know.

import type { Dashboard, FieldConfig, MatcherConfig, Panel, RowPanel } from "@grafana/schema";
import type * as bargauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as timeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
// From a release that still had the data source's type; the data source itself has kept its fields.
import type { PrometheusDataQuery } from "prometheus-query/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen";

// JSON has the words of an enumeration, and not its members.
type Written<T> = T extends string
  ? string extends T
    ? T
    : `${T}`
  : T extends (infer Item)[]
    ? Written<Item>[]
    : T extends object
      ? { [Name in keyof T]: Written<T[Name]> }
      : T;

// By the panel's type: its options, and what is its own in the configuration of a field.
interface Kinds {
  bargauge: { options: bargauge.Options; custom: Record<never, never> };
  heatmap: { options: heatmap.Options; custom: heatmap.FieldConfig };
  stat: { options: stat.Options; custom: Record<never, never> };
  "state-timeline": { options: timeline.Options; custom: timeline.FieldConfig };
  table: { options: table.Options; custom: table.FieldConfig };
  timeseries: { options: timeseries.Options; custom: timeseries.FieldConfig };
}

// Grafana's own is in a package that brings its whole user interface along.
interface DataLink {
  title: string;
  url: string;
  targetBlank?: boolean;
}

type Query = Omit<PrometheusDataQuery, "datasource"> & {
  datasource: { type: "prometheus"; uid: string };
  interval?: string;
};

type Fields<Custom> = Omit<FieldConfig, "custom" | "links"> & { custom?: Partial<Custom>; links?: DataLink[] };

type Property<Custom> =
  | { [Name in keyof Fields<Custom> & string]: { id: Name; value: Required<Fields<Custom>>[Name] } }[Exclude<
      keyof Fields<Custom> & string,
      "custom"
    >]
  | { [Name in keyof Custom & string]: { id: `custom.${Name}`; value: Required<Custom>[Name] } }[keyof Custom & string];

type AnyPanel<Kind extends keyof Kinds, Custom = Kinds[Kind]["custom"]> = Omit<
  Panel,
  "type" | "options" | "fieldConfig" | "targets"
> & {
  type: Kind;
  options: Kinds[Kind]["options"];
  fieldConfig: {
    defaults: Fields<Custom>;
    overrides: { matcher: MatcherConfig; properties: Property<Custom>[] }[];
  };
  targets: Query[];
};

type Annotation = Omit<NonNullable<NonNullable<Dashboard["annotations"]>["list"]>[number], "target"> & {
  // The data source reads these beside what every annotation has.
  target: Query;
  expr: string;
  step: string;
  titleFormat: string;
  tagKeys: string;
};

export type PanelOf<Kind extends keyof Kinds> = Written<AnyPanel<Kind>>;
export type Row = Written<RowPanel>;
export type Frame = Written<
  Omit<Dashboard, "panels" | "annotations"> & { uid: string; annotations: { list: Annotation[] } }
>;
