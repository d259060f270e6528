import type { RunView } from "../features/run/run-view";

// Addresses carry texts alone, as a person would write them: ?status=failed&since=2h.

export const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

export function readSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

export function printSearch(search: Record<string, unknown>): string {
  const pairs = Object.entries(search).filter((pair): pair is [string, string] => typeof pair[1] === "string" && pair[1] !== "");
  const params = new URLSearchParams(pairs).toString();
  return params === "" ? "" : `?${params}`;
}

// runView reads what an address says of a run's page.
export function runView(search: Record<string, unknown>): RunView {
  return {
    view: text(search.view),
    step: text(search.step),
    tab: text(search.tab),
    try: text(search.try),
    line: text(search.line),
    attempt: text(search.attempt),
    with: text(search.with),
  };
}
