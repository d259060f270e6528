import { useNavigate } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Button } from "../../components/button";
import { Icon } from "../../components/icon";
import { RunColumns, RunRow } from "../../components/run-row";
import { useFollow } from "../../components/use-follow";
import type { Run } from "../../gen/testmesh/api/v1/record_pb";
import { plural } from "../../lib/format";
import { group } from "../../lib/row-order";
import { useShortcuts } from "../../lib/shortcuts";
import { useNarrow } from "../../lib/use-narrow";
import { BatchRow } from "./batch-row";
import { mostRows, type RunRows } from "./use-run-rows";

type Item = { kind: "batch"; id: string; list: Run[] } | { kind: "run"; id: string; run: Run; inside: boolean };

// RunList shows the rows that are on the screen, and no others, of up to 10,000. While
// somebody points at it, or has scrolled, new runs wait above it.
export function RunList({ rows, hold }: { rows: RunRows; hold: (held: boolean) => void }) {
  const narrow = useNarrow();
  const navigate = useNavigate();
  const scroller = useRef<HTMLDivElement>(null);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [selected, setSelected] = useState("");
  const over = useRef(false);

  const items = useMemo<Item[]>(
    () =>
      group(rows.rows).flatMap<Item>(({ batch, runs }) => {
        const many = runs.length > 1;
        const shown = many && closed.has(batch) ? [] : runs.map<Item>((run) => ({ kind: "run", id: run.id, run, inside: many }));
        return many ? [{ kind: "batch", id: batch, list: runs }, ...shown] : shown;
      }),
    [rows.rows, closed],
  );
  const virtual = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (narrow ? 48 : 32),
    getItemKey: (i) => items[i]?.id ?? i,
    overscan: 8,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: heights change with the width alone
  useEffect(() => virtual.measure(), [narrow]);

  const visible = virtual.getVirtualItems();
  const last = visible.at(-1)?.index ?? 0;
  const { more, older, loadingOlder } = rows;
  useEffect(() => {
    if (more && !loadingOlder && items.length > 0 && last > items.length - 40) older();
  }, [more, older, loadingOlder, last, items.length]);

  const holds = () => over.current || (scroller.current?.scrollTop ?? 0) > 0 || selected !== "";
  const told = () => hold(holds());
  const toTop = () => {
    over.current = false;
    setSelected("");
    scroller.current?.scrollTo({ top: 0 });
    hold(false);
    rows.release();
  };
  const move = (step: number) => {
    const at = items.findIndex((item) => item.id === selected);
    const next = items[at < 0 ? 0 : Math.min(Math.max(at + step, 0), items.length - 1)];
    if (next === undefined) return;
    setSelected(next.id);
    hold(true);
    virtual.scrollToIndex(items.indexOf(next), { align: "auto" });
  };
  const toggle = useCallback(
    (id: string) => setClosed((was) => (was.has(id) ? new Set([...was].filter((one) => one !== id)) : new Set([...was, id]))),
    [],
  );
  const follow = useFollow();
  const open = () => {
    const item = items.find((one) => one.id === selected);
    if (item?.kind === "batch") toggle(item.id);
    else if (item !== undefined) void navigate({ to: "/runs/$id", params: { id: item.id } });
  };
  useShortcuts("Runs", [
    { keys: "j", does: "Next run", run: () => move(1) },
    { keys: "k", does: "Previous run", run: () => move(-1) },
    { keys: "Enter", does: "Open the run, fold the batch", run: open },
    { keys: ".", does: "Show new runs", run: toTop },
  ]);

  return (
    <div className="relative flex min-h-0 flex-1 flex-col bg-bg">
      {!narrow && <RunColumns />}
      {rows.waiting > 0 && (
        <Button kind="primary" onClick={toTop} className="absolute top-9 left-1/2 z-[1] -translate-x-1/2 shadow-overlay">
          <Icon name="up" /> {plural(rows.waiting, "new run")}
        </Button>
      )}
      <div
        ref={scroller}
        onScroll={told}
        onPointerEnter={() => {
          over.current = true;
          told();
        }}
        onPointerLeave={() => {
          over.current = false;
          told();
        }}
        className="min-h-0 flex-1 overflow-y-auto"
      >
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: the links in it have the keyboard; Enter on one is a click */}
        <ul aria-label="Runs" onClick={follow} className="relative w-full" style={{ height: virtual.getTotalSize() }}>
          {visible.map(({ index, key, start, size }) => {
            const item = items[index];
            if (item === undefined) return null;
            return (
              <li
                key={key}
                aria-setsize={items.length}
                aria-posinset={index + 1}
                className="absolute top-0 left-0 w-full"
                style={{ height: size, transform: `translateY(${start}px)` }}
              >
                {item.kind === "batch" ? (
                  <div className={`h-full ${selected === item.id ? "outline-2 outline-accent -outline-offset-2" : ""}`}>
                    <BatchRow id={item.id} list={item.list} open={!closed.has(item.id)} toggle={toggle} narrow={narrow} />
                  </div>
                ) : (
                  <RunRow run={item.run} narrow={narrow} selected={selected === item.id} inside={item.inside} />
                )}
              </li>
            );
          })}
        </ul>
        <p role="status" className="p-3 text-center text-text-2">
          {loadingOlder
            ? "Older runs…"
            : rows.olderProblem ||
              (rows.rows.length >= mostRows ? `These are the newest ${mostRows.toLocaleString("en")}: a filter finds older ones.` : "")}
        </p>
      </div>
    </div>
  );
}
