import type { KeyboardEvent } from "react";

export interface Tab {
  id: string;
  label: string;
  count?: number;
}

// Tabs chooses one of several views; arrows move between them.
export function Tabs({ tabs, at, choose, label }: { tabs: Tab[]; at: string; choose: (id: string) => void; label: string }) {
  const move = (event: KeyboardEvent<HTMLDivElement>) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = tabs[(tabs.findIndex((tab) => tab.id === at) + step + tabs.length) % tabs.length];
    if (next === undefined) return;
    choose(next.id);
    event.currentTarget.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
  };
  return (
    <div role="tablist" aria-label={label} onKeyDown={move} className="flex min-w-0 shrink-0 gap-1 overflow-x-auto border-line border-b px-2">
      {tabs.map((tab) => (
        <button
          key={tab.id}
          type="button"
          role="tab"
          data-tab={tab.id}
          aria-selected={tab.id === at}
          tabIndex={tab.id === at ? 0 : -1}
          onClick={() => choose(tab.id)}
          className={`-mb-px h-9 shrink-0 border-b-2 px-2 font-medium ${tab.id === at ? "border-accent text-text" : "border-transparent text-text-2 hover:text-text"}`}
        >
          {tab.label}{" "}
          {tab.count !== undefined && tab.count > 0 && (
            <span className="ml-0.5 rounded-sm bg-hover px-1 text-text-2 text-xs">{tab.count.toLocaleString("en")}</span>
          )}
        </button>
      ))}
    </div>
  );
}
