import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, type RefObject, useEffect } from "react";
import { AnsiText } from "../../components/ansi-text";
import { clock } from "../../lib/format";
import { type LogLine, lineId } from "../../lib/recording";
import { useFixedRows } from "./use-fixed-rows";

const rowHeight = 18;

// mostWrapped is how many lines may be as high as they are long: each is measured.
export const mostWrapped = 100_000;

interface Props {
  log: readonly LogLine[];
  // How many there are now: the list grows in place.
  total: number;
  scroller: RefObject<HTMLDivElement | null>;
  find: string;
  // The line that is looked at, by its number from 0; -1: none.
  at: number;
  // Whether the end is followed, and when that was last asked for.
  follow: boolean;
}

// FixedLines are lines of one height, of which only those on the screen are laid out.
export function FixedLines({ log, total, scroller, find, at, follow }: Props) {
  const { first, end } = useFixedRows(scroller, total, rowHeight);
  useEffect(() => {
    const element = scroller.current;
    if (at >= 0 && element !== null) element.scrollTop = Math.max(at * rowHeight - element.clientHeight / 2, 0);
  }, [at, scroller]);
  useEffect(() => {
    const element = scroller.current;
    if (follow && total > 0 && element !== null) element.scrollTop = total * rowHeight;
  }, [follow, total, scroller]);
  return (
    <div className="relative min-w-full" style={{ height: total * rowHeight, width: "max-content" }}>
      <div className="absolute top-0 left-0 min-w-full" style={{ transform: `translateY(${first * rowHeight}px)` }}>
        {log.slice(first, end).map((line, i) => (
          <Line key={lineId(line)} line={line} index={first + i} find={find} chosen={first + i === at} wrap={false} />
        ))}
      </div>
    </div>
  );
}

// WrappedLines are as high as they are long.
export function WrappedLines({ log, total, scroller, find, at, follow }: Props) {
  const virtual = useVirtualizer({ count: total, getScrollElement: () => scroller.current, estimateSize: () => rowHeight, overscan: 10 });
  useEffect(() => {
    if (at >= 0) virtual.scrollToIndex(at, { align: "center" });
  }, [at, virtual]);
  useEffect(() => {
    if (follow && total > 0) virtual.scrollToIndex(total - 1, { align: "end" });
  }, [follow, total, virtual]);
  return (
    <div className="relative w-full" style={{ height: virtual.getTotalSize() }}>
      {virtual.getVirtualItems().map(({ index, key, start }) => {
        const line = log[index];
        return (
          line !== undefined && (
            <div
              key={key}
              data-index={index}
              ref={virtual.measureElement}
              className="absolute top-0 left-0 w-full"
              style={{ transform: `translateY(${start}px)` }}
            >
              <Line line={line} index={index} find={find} chosen={index === at} wrap />
            </div>
          )
        );
      })}
    </div>
  );
}

interface LineProps {
  line: LogLine;
  index: number;
  find: string;
  chosen: boolean;
  wrap: boolean;
}

const levels: Record<string, string> = { error: "text-failed-text", warn: "text-flaky-text", debug: "text-text-2", step: "text-text-2" };

const Line = memo(function Line({ line, index, find, chosen, wrap }: LineProps) {
  return (
    <div
      data-index={index}
      aria-current={chosen ? "true" : undefined}
      className={`mono flex ${wrap ? "" : "h-[18px]"} ${chosen ? "bg-selected" : "hover:bg-hover"}`}
    >
      <span data-number className="w-18 shrink-0 cursor-pointer select-none pr-3 text-right text-text-2 hover:text-accent">
        {index + 1}
      </span>
      <span className="hidden w-28 shrink-0 text-text-2 sm:inline">{clock(line.time)}</span>
      <span
        dir="ltr"
        className={`pr-3 [unicode-bidi:isolate] ${wrap ? "min-w-0 whitespace-pre-wrap break-all" : "whitespace-pre"} ${levels[line.level] ?? ""}`}
      >
        <AnsiText text={line.text} find={find} />
      </span>
    </div>
  );
});
