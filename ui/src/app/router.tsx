import { createRootRoute, createRoute, createRouter, Link, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { Empty } from "../components/notice";
import type { FlowQuery } from "../features/flows/flows-page";
import type { RunView } from "../features/run/run-view";
import { RunsPage } from "../features/runs/runs-page";
import type { RunQuery } from "../lib/query-text";
import { Crash } from "./crash";
import { Shell } from "./shell";

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

const root = createRootRoute({
  component: Shell,
  errorComponent: Crash,
  notFoundComponent: () => (
    <Empty title="There is nothing at this address">
      <Link to="/runs" className="text-accent underline">
        All runs
      </Link>
    </Empty>
  ),
});

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/runs" });
  },
});

const runsRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  component: RunsPage,
  validateSearch: (search): RunQuery => ({
    status: text(search.status),
    env: text(search.env),
    tag: text(search.tag),
    flow: text(search.flow),
    since: text(search.since),
  }),
});

const runRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs/$id",
  component: lazyRouteComponent(() => import("../features/run/run-page"), "RunPage"),
  validateSearch: (search): RunView => ({
    view: text(search.view),
    step: text(search.step),
    tab: text(search.tab),
    try: text(search.try),
    line: text(search.line),
    attempt: text(search.attempt),
  }),
});

const flowsRoute = createRoute({
  getParentRoute: () => root,
  path: "/flows",
  component: lazyRouteComponent(() => import("../features/flows/flows-page"), "FlowsPage"),
  validateSearch: (search): FlowQuery => ({ name: text(search.name), tag: text(search.tag) }),
});

const fleetRoute = createRoute({
  getParentRoute: () => root,
  path: "/fleet",
  component: lazyRouteComponent(() => import("../features/fleet/fleet-page"), "FleetPage"),
});

// Addresses carry texts alone, as a person would write them: ?status=failed&since=2h.
export const router = createRouter({
  routeTree: root.addChildren([home, runsRoute, runRoute, flowsRoute, fleetRoute]),
  defaultPreload: "intent",
  defaultErrorComponent: Crash,
  parseSearch: (search) => Object.fromEntries(new URLSearchParams(search)),
  stringifySearch: (search) => {
    const pairs = Object.entries(search).filter((pair): pair is [string, string] => typeof pair[1] === "string" && pair[1] !== "");
    const params = new URLSearchParams(pairs).toString();
    return params === "" ? "" : `?${params}`;
  },
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
