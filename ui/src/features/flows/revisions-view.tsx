import { Button } from "../../components/button";
import { Ago } from "../../components/clock";
import { Empty, Loading, Notice } from "../../components/notice";
import { bytes, millis, plural } from "../../lib/format";
import { problemOf } from "../../lib/problem";
import type { FlowView } from "./flow-view";
import { useRevisions } from "./use-revisions";

// RevisionsView is what pushes made of a flow, the newest first.
export function RevisionsView({ file, index, go }: { file: string; index: number; go: (view: FlowView) => void }) {
  const { list, error, isPending } = useRevisions(file, index);
  if (error !== null && list.length === 0) return <Notice problem={problemOf(error)} />;
  if (isPending) return <Loading what="Revisions" />;
  if (list.length === 0) return <Empty title="It was pushed before revisions were kept" />;
  return (
    <ul aria-label="Revisions">
      {list.map((one) => (
        <li key={String(one.revision)} className="flex min-h-10 flex-wrap items-center gap-x-4 gap-y-1 border-line border-b px-3 py-1">
          <span className="w-8 font-medium sm:w-16">{String(one.revision)}</span>
          <span className="w-24 text-text-2">
            <Ago at={millis(one.pushed)} />
          </span>
          <span className="min-w-0 flex-1 truncate">{one.actor}</span>
          <span className="hidden text-text-2 sm:inline">
            {plural(one.files, "file")}, {bytes(Number(one.size))}
          </span>
          {one.current && <span className="rounded-sm border border-control px-1.5 text-xs">stored now</span>}
          <Button
            onClick={() => go({ view: undefined, revision: one.current ? undefined : String(one.revision) })}
            aria-label={`Read revision ${one.revision}`}
          >
            Read
          </Button>
        </li>
      ))}
    </ul>
  );
}
