import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { useNow } from "../../components/clock";
import { Icon } from "../../components/icon";
import { Glyph } from "../../components/status-mark";
import { duration } from "../../lib/format";
import { groupStatus, type Recording, type Step } from "../../lib/recording";
import { useShortcuts } from "../../lib/shortcuts";
import { markOf } from "../../lib/status";

interface Row {
  step: Step;
  depth: number;
  // The first of its phase, which then stands above it.
  phase: string;
  open: boolean;
}

const phases: Record<string, string> = { setup: "Setup", steps: "", on_error: "On error", teardown: "Teardown", cleanup: "Clean-up" };

// A loop of more rounds than this has those that passed folded.
const manyRounds = 20;

interface Props {
  recording: Recording;
  version: number;
  chosen: string;
  choose: (key: string) => void;
}

// StepTree is the steps in their containers, each with its bar on the time of the run.
export function StepTree({ recording, version, chosen, choose }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const [toggled, setToggled] = useState<ReadonlyMap<string, boolean>>(new Map());
  // biome-ignore lint/correctness/useExhaustiveDependencies: a recording changes in place, its version says when
  const rows = useMemo(() => flatten(recording, toggled, chosen), [recording, version, toggled, chosen]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 28,
    overscan: 20,
    getItemKey: (i) => rows[i]?.step.key ?? i,
  });
  const at = rows.findIndex((row) => row.step.key === chosen);
  // What runs is followed until somebody scrolls to something else.
  const moved = useRef(false);
  useEffect(() => {
    if (at >= 0 && !moved.current) virtual.scrollToIndex(at, { align: "auto" });
  }, [at, virtual]);
  const move = (by: number) => {
    const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
    moved.current = false;
    if (next !== undefined) choose(next.step.key);
  };
  useShortcuts("Steps", [
    { keys: "j", does: "Next step", run: () => move(1) },
    { keys: "k", does: "Previous step", run: () => move(-1) },
  ]);
  const nested = rows.some((row) => row.step.children.length > 0);
  const now = useNow();
  const end = recording.ended || Math.max(now, recording.began + 1);
  return (
    <div
      ref={scroller}
      onWheel={() => {
        moved.current = true;
      }}
      onTouchMove={() => {
        moved.current = true;
      }}
      className="max-h-[26dvh] shrink-0 overflow-y-auto min-[900px]:max-h-none min-[900px]:w-[42%] min-[900px]:min-w-96 min-[900px]:max-w-160"
    >
      <Scale span={end - recording.began} />
      <ul aria-label="Steps" className="relative" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, key, start }) => {
          const row = rows[index];
          if (row === undefined) return null;
          return (
            <li key={key} className="absolute top-0 left-0 h-7 w-full" style={{ transform: `translateY(${start}px)` }}>
              <StepRow
                row={row}
                nested={nested}
                status={groupStatus(recording, row.step)}
                chosen={row.step.key === chosen}
                choose={() => choose(row.step.key)}
                toggle={() => setToggled((was) => new Map([...was, [row.step.key, !row.open]]))}
                began={recording.began}
                end={end}
              />
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function flatten(recording: Recording, toggled: ReadonlyMap<string, boolean>, chosen: string): Row[] {
  const rows: Row[] = [];
  let phase = "steps";
  const inside = new Set<string>();
  for (let step = recording.steps.get(chosen); step !== undefined; step = recording.steps.get(step.parent)) inside.add(step.parent);
  const add = (keys: readonly string[], depth: number) => {
    for (const key of keys) {
      const step = recording.steps.get(key);
      if (step === undefined) continue;
      const folded = step.group && keys.length > manyRounds && groupStatus(recording, step) === "passed";
      const open = toggled.get(key) ?? (!folded || inside.has(key));
      rows.push({ step, depth, phase: step.phase === phase ? "" : (phases[step.phase] ?? step.phase), open });
      phase = step.phase;
      if (open) add(step.children, depth + 1);
    }
  };
  add(recording.roots, 0);
  return rows;
}

interface RowProps {
  row: Row;
  // Some step holds others: room is left for what folds them.
  nested: boolean;
  status: Step["status"];
  chosen: boolean;
  choose: () => void;
  toggle: () => void;
  began: number;
  end: number;
}

function StepRow({ row: { step, depth, phase, open }, nested, status, chosen, choose, toggle, began, end }: RowProps) {
  const inner = step.children.length > 0;
  const retried = !step.waited && step.tries.length > 1;
  return (
    <div className={`flex h-full items-center gap-1 pr-2 ${chosen ? "bg-selected" : "hover:bg-hover"}`} style={{ paddingLeft: 4 + depth * 14 }}>
      {inner ? (
        <button
          type="button"
          aria-expanded={open}
          aria-label={`${open ? "Fold" : "Unfold"} ${step.name}`}
          onClick={toggle}
          className="flex size-6 items-center justify-center rounded-sm hover:bg-hover"
        >
          <Icon name="chevron" className={`text-text-3 ${open ? "rotate-90" : ""}`} />
        </button>
      ) : (
        <span className={nested ? "w-6" : "w-1"} />
      )}
      <button
        type="button"
        aria-current={chosen ? "true" : undefined}
        onClick={choose}
        className="flex h-full min-w-0 flex-1 items-center gap-2 text-left"
      >
        <Glyph mark={markOf(status)} />
        <span className="sr-only">{status}</span>
        <span className="min-w-0 flex-1 truncate">
          {phase !== "" && <span className="mr-1.5 rounded-sm bg-hover px-1 text-text-2 text-xs">{phase}</span>}
          <span className={status === "failed" || status === "errored" ? "font-medium" : status === "skipped" ? "text-text-2" : ""}>{step.name}</span>{" "}
          <span className="text-text-2 text-xs">{step.action}</span>
        </span>
        {retried && (
          <span className="shrink-0 text-flaky-text text-xs" title={`${step.tries.length} tries`}>
            ↻ {step.tries.length}
          </span>
        )}
        {step.ignored && <span className="shrink-0 text-text-2 text-xs">ignored</span>}
        <span className="w-14 shrink-0 text-right text-text-2">
          {step.durationMs === undefined || status === "skipped" ? "" : duration(step.durationMs)}
        </span>
        <Bars step={step} began={began} end={end} />
      </button>
    </div>
  );
}

const looks: Record<Step["status"], string> = {
  running: "bg-running",
  passed: "bg-passed",
  failed: "bg-failed",
  errored: "bg-errored",
  skipped: "bg-control",
  cancelled: "bg-control",
};

// Bars are the tries of a step on the time of the run: drawn for the eye, while the row
// has it in numbers.
function Bars({ step, began, end }: { step: Step; began: number; end: number }) {
  const span = Math.max(end - began, 1);
  const bars = step.tries.length > 0 ? step.tries.map((one) => ({ from: one.began, to: one.ended ?? (step.ended || end), status: one.status })) : [];
  return (
    <span aria-hidden="true" className="relative hidden h-3 w-36 shrink-0 sm:block">
      {bars.slice(0, 50).map((bar) => (
        <span
          key={bar.from}
          className={`absolute top-0.5 h-2 min-w-0.5 rounded-xs ${looks[bar.status]}`}
          style={{ left: `${((bar.from - began) / span) * 100}%`, width: `${Math.max((bar.to - bar.from) / span, 0) * 100}%` }}
        />
      ))}
    </span>
  );
}

function Scale({ span }: { span: number }) {
  return (
    <div
      aria-hidden="true"
      className="sticky top-0 z-[1] hidden h-6 items-center justify-end border-line border-b bg-bg pr-2 text-text-2 text-xs sm:flex"
    >
      <span className="flex w-36 justify-between">
        <span>0</span>
        <span>{duration(span / 2)}</span>
        <span>{duration(span)}</span>
      </span>
    </div>
  );
}
