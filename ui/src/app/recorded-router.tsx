import { createRootRoute, createRoute, createRouter, type RouterHistory, redirect } from "@tanstack/react-router";
import { RecordedPage, type RecordedQuery } from "../features/recorded/recorded-page";
import { RunPage } from "../features/run/run-page";
import type { RecordedRuns } from "../lib/recording-archive";
import { Crash } from "./crash";
import { RecordedShell } from "./recorded-shell";
import { printSearch, readSearch, runView, text } from "./search";

// recordedRouter has the pages of a recording: its list, and the page of a run, with
// which a recording of one run opens.
export function recordedRouter(recorded: RecordedRuns, history: RouterHistory) {
  const root = createRootRoute({ component: RecordedShell, errorComponent: Crash });
  const home = createRoute({
    getParentRoute: () => root,
    path: "/",
    beforeLoad: () => {
      const [only, ...more] = recorded.runs;
      if (only !== undefined && more.length === 0) throw redirect({ to: "/runs/$id", params: { id: only.id } });
      throw redirect({ to: "/runs" });
    },
  });
  const list = createRoute({
    getParentRoute: () => root,
    path: "/runs",
    component: RecordedPage,
    validateSearch: (search): RecordedQuery => ({ status: text(search.status), find: text(search.find) }),
  });
  const run = createRoute({ getParentRoute: () => root, path: "/runs/$id", component: RunPage, validateSearch: runView });
  return createRouter({
    routeTree: root.addChildren([home, list, run]),
    history,
    defaultErrorComponent: Crash,
    parseSearch: readSearch,
    stringifySearch: printSearch,
  });
}
