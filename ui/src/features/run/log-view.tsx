import { useDeferredValue, useRef, useState } from "react";
import { Button } from "../../components/button";
import { CopyButton } from "../../components/copy-button";
import { Icon } from "../../components/icon";
import { plainAnsi } from "../../lib/ansi";
import { clock, plural } from "../../lib/format";
import { lineId, lineIndex, type Recording } from "../../lib/recording";
import { useShortcuts } from "../../lib/shortcuts";
import { FixedLines, mostWrapped, WrappedLines } from "./log-lines";
import type { RunView } from "./run-view";
import { useLogSearch } from "./use-log-search";

interface Props {
  recording: Recording;
  version: number;
  line: string;
  go: (view: RunView) => void;
  live: boolean;
}

// LogView is the log of an attempt from its first line: searched, followed, and every
// line with an address of its own. Only the lines on the screen are laid out.
export function LogView({ recording, version, line, go, live }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const [find, setFind] = useState("");
  const [wrap, setWrap] = useState(false);
  const [follow, setFollow] = useState(live && line === "");
  const wanted = useDeferredValue(find);
  const total = recording.log.length;
  const hits = useLogSearch(recording, version, wanted.toLowerCase());
  const at = line === "" ? -1 : lineIndex(recording.log, line);

  const choose = (index: number) => {
    const one = recording.log[index];
    if (one === undefined) return;
    setFollow(false);
    go({ line: lineId(one) });
  };
  const step = (by: number) => {
    if (hits.length === 0) return;
    const from = by > 0 ? hits.find((hit) => hit > at) : hits.findLast((hit) => hit < at);
    choose(from ?? (by > 0 ? (hits[0] ?? 0) : (hits.at(-1) ?? 0)));
  };
  useShortcuts("Log", [
    { keys: "/", does: "Search", run: () => input.current?.select() },
    { keys: "j", does: "Next line", run: () => choose(Math.min(at + 1, total - 1)) },
    { keys: "k", does: "Previous line", run: () => choose(Math.max(at - 1, 0)) },
    { keys: "n", does: "Next hit", run: () => step(1) },
    { keys: "N", does: "Previous hit", run: () => step(-1) },
    { keys: "f", does: "Follow the end", run: () => setFollow(true) },
  ]);
  const Lines = wrap && total <= mostWrapped ? WrappedLines : FixedLines;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="flex flex-wrap items-center gap-2 border-line border-b px-2 py-1">
        <input
          ref={input}
          value={find}
          onChange={(event) => setFind(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
            if (event.key === "Escape") event.currentTarget.blur();
          }}
          placeholder="Search the log"
          aria-label="Search the log"
          className="h-7 w-48 rounded-sm border border-control bg-bg px-2 placeholder:text-text-3"
        />
        <span role="status" className="text-text-2">
          {wanted !== "" && plural(hits.length, "line")}
        </span>
        <span className="ml-auto flex gap-1">
          <Button
            kind="quiet"
            aria-pressed={wrap}
            disabled={total > mostWrapped}
            title={total > mostWrapped ? `Only up to ${plural(mostWrapped, "line")}` : undefined}
            onClick={() => setWrap(!wrap)}
            className={wrap ? "bg-selected text-text" : ""}
          >
            Wrap
          </Button>
          <CopyButton text={() => recording.log.map((one) => `${clock(one.time)} ${plainAnsi(one.text)}`).join("\n")} label="Copy the log" />
          <Button aria-pressed={follow} onClick={() => setFollow(!follow)} className={follow ? "bg-selected" : ""}>
            <Icon name="down" /> Follow
          </Button>
        </span>
      </div>
      {total === 0 && <p className="p-4 text-text-2">{live ? "Lines appear here as they are written." : "Nothing was written."}</p>}
      <div
        ref={scroller}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        tabIndex={0}
        role="region"
        aria-label="Log"
        // A number is too small to be a button: who has no mouse moves by j and k.
        onClick={(event) => {
          const row =
            event.target instanceof HTMLElement && event.target.dataset.number !== undefined
              ? event.target.closest<HTMLElement>("[data-index]")
              : null;
          if (row !== null) choose(Number(row.dataset.index));
        }}
        onWheel={(event) => event.deltaY < 0 && setFollow(false)}
        onKeyDown={(event) => ["ArrowUp", "PageUp", "Home"].includes(event.key) && setFollow(false)}
        className="min-h-0 flex-1 overflow-auto py-1"
      >
        <Lines log={recording.log} total={total} scroller={scroller} find={wanted} at={at} follow={follow} />
        {recording.lostLines > 0 && (
          <p className="p-2 text-flaky-text">
            {plural(recording.lostLines, "more line")}: no browser can lay them out. testmesh logs has all of them.
          </p>
        )}
      </div>
    </div>
  );
}
