import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { useEffect, useState, useSyncExternalStore } from "react";
import { Button, Kbd } from "../components/button";
import { Icon, type IconName } from "../components/icon";
import { SignIn } from "../features/sign-in/sign-in";
import { onSession, refusal } from "../lib/session";
import { useShortcuts } from "../lib/shortcuts";
import { useLiveState } from "../lib/use-live";
import { Palette } from "./palette";
import { ShortcutSheet } from "./shortcut-sheet";
import { ThemeSwitch } from "./theme-switch";

const places: { to: "/runs" | "/flows" | "/fleet"; word: string; icon: IconName }[] = [
  { to: "/runs", word: "Runs", icon: "runs" },
  { to: "/flows", word: "Flows", icon: "flows" },
  { to: "/fleet", word: "Fleet", icon: "fleet" },
];

export function Shell() {
  const [open, setOpen] = useState<"" | "palette" | "shortcuts">("");
  const wanted = useSyncExternalStore(onSession, refusal);
  const navigate = useNavigate();
  useShortcuts("Everywhere", [
    { keys: "mod+k", does: "Go to, or do", run: () => setOpen("palette") },
    { keys: "?", does: "These shortcuts", run: () => setOpen("shortcuts") },
    { keys: "n", does: "Queue a run", run: () => void navigate({ to: "/runs/queue" }) },
    { keys: "g r", does: "Runs", run: () => void navigate({ to: "/runs" }) },
    { keys: "g f", does: "Flows", run: () => void navigate({ to: "/flows" }) },
    { keys: "g a", does: "Fleet", run: () => void navigate({ to: "/fleet" }) },
  ]);
  return (
    <div className="flex h-dvh flex-col sm:flex-row">
      <a href="#main" className="sr-only focus:not-sr-only focus:absolute focus:z-10 focus:m-2 focus:rounded-sm focus:bg-raised focus:p-2">
        Skip to the content
      </a>
      <nav
        aria-label="Main"
        className="order-last flex shrink-0 items-stretch border-line border-t bg-bg sm:order-first sm:w-12 sm:flex-col sm:border-t-0 sm:border-r lg:w-44"
      >
        <div className="hidden items-center gap-2 px-3 py-3 font-semibold sm:flex">
          <img src="/icon.svg" alt="" className="size-6" />
          <span className="sr-only lg:not-sr-only">TestMesh</span>
        </div>
        {places.map((place) => (
          <Link
            key={place.to}
            to={place.to}
            title={place.word}
            activeProps={{ className: "bg-selected text-text font-medium" }}
            inactiveProps={{ className: "text-text-2 hover:bg-hover hover:text-text" }}
            className="flex h-12 flex-1 flex-col items-center justify-center gap-0.5 text-xs sm:mx-1.5 sm:h-8 sm:flex-none sm:flex-row sm:justify-start sm:gap-2 sm:rounded-sm sm:px-2.5 sm:text-sm"
          >
            <Icon name={place.icon} />
            <span className="sm:sr-only lg:not-sr-only">{place.word}</span>
          </Link>
        ))}
        <div className="flex items-center justify-center gap-1 px-2 sm:mt-auto sm:flex-col sm:items-stretch sm:px-1.5 sm:pb-2">
          <Button kind="quiet" onClick={() => setOpen("palette")} aria-label="Go to, or do" className="lg:justify-start">
            <Icon name="search" />
            <span className="hidden flex-1 text-left lg:inline">Go to</span>
            <span className="hidden lg:inline">
              <Kbd>Ctrl K</Kbd>
            </span>
          </Button>
          <Button kind="quiet" onClick={() => setOpen("shortcuts")} aria-label="Shortcuts" className="hidden sm:flex lg:justify-start">
            <span className="flex size-4 items-center justify-center font-semibold">?</span>
            <span className="hidden lg:inline">Shortcuts</span>
          </Button>
          <ThemeSwitch />
        </div>
      </nav>
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        <Reconnecting />
        <main id="main" className="flex min-h-0 min-w-0 flex-1 flex-col overflow-y-auto">
          <Outlet />
        </main>
      </div>
      {open === "palette" && <Palette close={() => setOpen("")} shortcuts={() => setOpen("shortcuts")} />}
      {open === "shortcuts" && <ShortcutSheet close={() => setOpen("")} />}
      {wanted !== null && <SignIn why={wanted} />}
    </div>
  );
}

// Reconnecting says that what is shown may be old: once it has lasted for long enough to
// be noticed, so that a change of leader does not flicker.
function Reconnecting() {
  const state = useLiveState();
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(state === "cut"), state === "cut" ? 1_000 : 0);
    return () => clearTimeout(timer);
  }, [state]);
  return (
    <div role="status" className={late ? "border-flaky border-b bg-flaky-bg px-3 py-1 text-center text-flaky-text" : "sr-only"}>
      {late ? "The control plane does not answer: reconnecting. What you see is as of then." : ""}
    </div>
  );
}
