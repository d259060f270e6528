import { Link } from "@tanstack/react-router";
import { QueueStatsResponseSchema } from "../../gen/testmesh/api/v1/api_pb";
import { duration, durationMillis } from "../../lib/format";
import { decode, useLive } from "../../lib/use-live";

// QueuePanel is what waits, and for how long.
export function QueuePanel() {
  const { list } = useLive("queue", {});
  if (list === null) return null;
  const queue = decode(QueueStatsResponseSchema, list.value);
  const oldest = durationMillis(queue.oldestWait);
  return (
    <section aria-label="Queue" className="panel flex flex-wrap gap-x-8 gap-y-2 px-3 py-2">
      <Count name="waiting" value={queue.depth.toLocaleString("en")} status="queued,offered" />
      <Count name="running" value={queue.running.toLocaleString("en")} status="running,finishing" />
      <span>
        <span className="text-base font-semibold">{oldest > 0 ? duration(oldest) : "none"}</span> <span className="text-text-2">oldest wait</span>
      </span>
      {queue.quarantined > 0 && (
        <span className="text-flaky-text">
          <span className="text-base font-semibold">{queue.quarantined}</span> quarantined
        </span>
      )}
    </section>
  );
}

function Count({ name, value, status }: { name: string; value: string; status: string }) {
  return (
    <Link to="/runs" search={{ status }} className="rounded-sm hover:underline">
      <span className="text-base font-semibold">{value}</span> <span className="text-text-2">{name}</span>
    </Link>
  );
}
