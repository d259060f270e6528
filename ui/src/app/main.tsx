import "./app.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { runs } from "../lib/api";
import { Live } from "../lib/live";
import { mayPass } from "../lib/problem";
import { onSession, refusal } from "../lib/session";
import { listen } from "../lib/shortcuts";
import { followSystem } from "../lib/theme";
import { LiveContext } from "../lib/use-live";
import { router } from "./router";

const cache = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (n, err) => n < 2 && mayPass(err),
      retryDelay: (n) => Math.min(500 * 2 ** n, 5_000),
      refetchOnWindowFocus: true,
      staleTime: 1_000,
    },
  },
});

// A socket that does not open has no reason for a browser; the same question as a call
// has one, and asks for a key where that is it.
const live = new Live({ refused: () => void runs.queueStats({}).catch(() => undefined) });

onSession(() => {
  if (refusal() !== null) return;
  live.reconnect();
  void cache.invalidateQueries();
});
// What could not be asked while the control plane was away is asked again once it is back.
live.onState(() => {
  if (live.getState() === "open") void cache.refetchQueries({ type: "active", predicate: (query) => query.state.status === "error" });
});
followSystem();
listen();

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={cache}>
        <LiveContext value={live}>
          <RouterProvider router={router} />
        </LiveContext>
      </QueryClientProvider>
    </StrictMode>,
  );
}
