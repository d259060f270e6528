import { Link } from "@tanstack/react-router";
import { Empty, Loading, Notice } from "../../components/notice";
import { RunColumns, RunRow } from "../../components/run-row";
import { useFollow } from "../../components/use-follow";
import { RunSchema } from "../../gen/testmesh/api/v1/record_pb";
import { decode, useLive } from "../../lib/use-live";
import { useNarrow } from "../../lib/use-narrow";

const newest = 50;

// FlowRuns are the newest runs of a flow, live; the list of runs has the others.
export function FlowRuns({ flow }: { flow: string }) {
  const narrow = useNarrow();
  const follow = useFollow();
  const { list, error } = useLive("runs", { flow, page_size: newest });
  if (list === null) return error === null ? <Loading what="Runs" /> : <Notice problem={{ title: error.message, hint: "", requestId: "" }} />;
  if (list.order.length === 0) return <Empty title="It was not run yet" />;
  return (
    <>
      {!narrow && <RunColumns />}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the links in it have the keyboard; Enter on one is a click */}
      <ul aria-label="Runs" onClick={follow}>
        {list.order.map((id) => (
          <li key={id} className={narrow ? "h-12" : "h-8"}>
            <RunRow run={decode(RunSchema, list.items.get(id))} narrow={narrow} selected={false} inside={false} />
          </li>
        ))}
      </ul>
      <p className="p-3 text-center">
        <Link to="/runs" search={{ flow }} className="text-accent underline">
          All runs of it
        </Link>
      </p>
    </>
  );
}
