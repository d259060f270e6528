import { Link, Outlet } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "../components/button";
import { useRecorded } from "../lib/recording-archive";
import { useShortcuts } from "../lib/shortcuts";
import { ShortcutSheet } from "./shortcut-sheet";
import { ThemeSwitch } from "./theme-switch";

// RecordedShell is what stands around the pages of a recording: there is nothing to go
// to but its runs.
export function RecordedShell() {
  const recorded = useRecorded();
  const [shortcuts, setShortcuts] = useState(false);
  useShortcuts("Everywhere", [{ keys: "?", does: "These shortcuts", run: () => setShortcuts(true) }]);
  const started = recorded?.store.batch.started;
  return (
    <div className="flex h-dvh flex-col">
      <a href="#main" className="sr-only focus:not-sr-only focus:absolute focus:z-10 focus:m-2 focus:rounded-sm focus:bg-raised focus:p-2">
        Skip to the content
      </a>
      <nav aria-label="Main" className="flex shrink-0 items-center gap-3 border-line border-b bg-bg px-3 py-1">
        <Link to="/runs" className="font-semibold">
          TestMesh
        </Link>
        <span className="min-w-0 truncate text-text-2">recorded {started === undefined ? "" : new Date(started.time).toLocaleString()}</span>
        <span className="ml-auto flex items-center">
          <Button kind="quiet" onClick={() => setShortcuts(true)} aria-label="Shortcuts">
            ?
          </Button>
          <ThemeSwitch />
        </span>
      </nav>
      <main id="main" className="flex min-h-0 min-w-0 flex-1 flex-col overflow-y-auto">
        <Outlet />
      </main>
      {shortcuts && <ShortcutSheet close={() => setShortcuts(false)} />}
    </div>
  );
}
