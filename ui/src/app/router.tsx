import { createRootRoute, createRoute, createRouter, Link, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { Empty } from "../components/notice";
import type { FlowView } from "../features/flows/flow-view";
import type { FlowQuery } from "../features/flows/flows-page";
import type { QueueSearch } from "../features/queue/queue-page";
import { RunsPage } from "../features/runs/runs-page";
import type { RunQuery } from "../lib/query-text";
import { Crash } from "./crash";
import { printSearch, readSearch, runView, text } from "./search";
import { Shell } from "./shell";

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
    batch: text(search.batch),
  }),
});

const queueRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs/queue",
  component: lazyRouteComponent(() => import("../features/queue/queue-page"), "QueuePage"),
  validateSearch: (search): QueueSearch => ({ file: text(search.file), index: text(search.index), tag: text(search.tag) }),
});

const runRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs/$id",
  component: lazyRouteComponent(() => import("../features/run/run-page"), "RunPage"),
  validateSearch: runView,
});

const flowsRoute = createRoute({
  getParentRoute: () => root,
  path: "/flows",
  component: lazyRouteComponent(() => import("../features/flows/flows-page"), "FlowsPage"),
  validateSearch: (search): FlowQuery => ({ name: text(search.name), tag: text(search.tag) }),
});

const flowRoute = createRoute({
  getParentRoute: () => root,
  path: "/flows/show",
  component: lazyRouteComponent(() => import("../features/flows/flow-page"), "FlowPage"),
  validateSearch: (search): FlowView => ({
    file: text(search.file),
    index: text(search.index),
    view: text(search.view),
    revision: text(search.revision),
  }),
});

const fleetRoute = createRoute({
  getParentRoute: () => root,
  path: "/fleet",
  component: lazyRouteComponent(() => import("../features/fleet/fleet-page"), "FleetPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([home, runsRoute, queueRoute, runRoute, flowsRoute, flowRoute, fleetRoute]),
  defaultPreload: "intent",
  defaultErrorComponent: Crash,
  parseSearch: readSearch,
  stringifySearch: printSearch,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
