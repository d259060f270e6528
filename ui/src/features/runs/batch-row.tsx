import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { memo } from "react";
import { Icon } from "../../components/icon";
import { StatusMark } from "../../components/status-mark";
import type { Run } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import { plural, shortId } from "../../lib/format";
import { markOf, runWord } from "../../lib/status";

const order = ["failed", "errored", "running", "finishing", "offered", "queued", "passed", "cancelled", "skipped"];

interface Props {
  id: string;
  list: Run[];
  open: boolean;
  toggle: (id: string) => void;
  narrow: boolean;
}

// BatchRow stands above the runs that one command, tick or call started. Its numbers are
// of the runs below it, so that they always agree with what is listed.
export const BatchRow = memo(function BatchRow({ id, list, open, toggle, narrow }: Props) {
  const batch = useQuery({ queryKey: ["batch", id], queryFn: () => runs.getBatch({ id }), staleTime: Number.POSITIVE_INFINITY });
  const counts = Map.groupBy(list, (run: Run) => runWord[run.status]);
  const source = batch.data?.batch?.source;
  return (
    <div className="flex h-full w-full items-center border-line border-b bg-canvas">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => toggle(id)}
        className="flex h-full min-w-0 flex-1 items-center gap-2 px-2 text-left hover:bg-hover"
      >
        <Icon name="chevron" className={`text-text-3 ${open ? "rotate-90" : ""}`} />
        <span className="min-w-0 truncate">
          <span className="font-medium">{plural(list.length, "run")}</span>{" "}
          <span className="text-text-2">{source?.trigger || `batch ${shortId(id)}`}</span>
        </span>
        <span className="ml-auto flex shrink-0 gap-3">
          {order.flatMap((word) => {
            const n = counts.get(word)?.length ?? 0;
            return n === 0 ? [] : [<StatusMark key={word} mark={markOf(word)} word={narrow ? String(n) : `${n} ${word}`} />];
          })}
        </span>
      </button>
      <Link
        to="/runs"
        search={{ batch: id }}
        title="Only this batch"
        aria-label={`Only the batch of ${plural(list.length, "run")}`}
        className="flex h-full items-center px-3 text-text-3 hover:bg-hover hover:text-text"
      >
        <Icon name="link" />
      </Link>
    </div>
  );
});
