import "./app.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createHashHistory, RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Notice } from "../components/notice";
import { problemOf } from "../lib/problem";
import { embedded, RecordedContext, RecordedRuns, served } from "../lib/recording-archive";
import { listen } from "../lib/shortcuts";
import { followSystem } from "../lib/theme";
import { LiveContext } from "../lib/use-live";
import { recordedRouter } from "./recorded-router";

// The page of a recording: the report that `testmesh run --report html` writes, which
// holds its data, and what `testmesh show` serves. It is one script, and asks no server
// for anything but the recording.

followSystem();
listen();

const root = createRoot(document.getElementById("root") ?? document.body);
// What a page holds is whole once it was read: a script of a module runs then.
const store = embedded(document) ?? served();
try {
  const recorded = new RecordedRuns(await store);
  const router = recordedRouter(recorded, createHashHistory());
  root.render(
    <StrictMode>
      <QueryClientProvider client={new QueryClient()}>
        <RecordedContext value={recorded}>
          <LiveContext value={recorded}>
            <RouterProvider router={router as never} />
          </LiveContext>
        </RecordedContext>
      </QueryClientProvider>
    </StrictMode>,
  );
} catch (err) {
  root.render(<Notice problem={problemOf(err)} />);
}
