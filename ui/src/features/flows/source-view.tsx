import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../components/button";
import { CodeView } from "../../components/code-view";
import { CopyButton } from "../../components/copy-button";
import { DiffView } from "../../components/diff-view";
import { Loading, Notice } from "../../components/notice";
import type { GetFlowResponse } from "../../gen/testmesh/api/v1/api_pb";
import { flows } from "../../lib/api";
import { bytes } from "../../lib/format";
import { problemOf } from "../../lib/problem";
import type { FlowView } from "./flow-view";
import { useRevisions } from "./use-revisions";

interface Props {
  now: GetFlowResponse;
  file: string;
  index: number;
  // 0: the one that is stored now.
  revision: number;
  go: (view: FlowView) => void;
}

// SourceView is the file of a flow at a revision, alone or against the one before.
export function SourceView({ now, file, index, revision, go }: Props) {
  const [compared, setCompared] = useState(false);
  const { list } = useRevisions(file, index);
  const at = revision === 0 ? Number(now.flow?.revision ?? 0) : revision;
  const before = list[list.findIndex((one) => Number(one.revision) === at) + 1];
  const shown = useRevision(file, index, at, revision !== 0 && at !== Number(now.flow?.revision ?? 0));
  const old = useRevision(file, index, Number(before?.revision ?? 0), compared && before !== undefined);
  const answer = shown.data ?? (revision === 0 || at === Number(now.flow?.revision ?? 0) ? now : undefined);
  if (answer === undefined) {
    return shown.error === null ? (
      <Loading what="The revision" />
    ) : (
      <Notice problem={problemOf(shown.error)}>
        <Button onClick={() => go({ revision: undefined })}>The one that is stored now</Button>
      </Notice>
    );
  }
  return (
    <>
      <div className="flex flex-wrap items-center gap-2 border-line border-b px-3 py-1.5">
        <code className="min-w-0 truncate">{file}</code>
        <span className="ml-auto flex flex-wrap items-center gap-2">
          {list.length > 1 && (
            <select
              aria-label="Revision"
              value={at}
              onChange={(event) => go({ revision: Number(event.target.value) === Number(now.flow?.revision) ? undefined : event.target.value })}
              className="h-7 rounded-sm border border-control bg-bg px-2"
            >
              {list.map((one) => (
                <option key={String(one.revision)} value={String(one.revision)}>
                  revision {String(one.revision)}
                  {one.current ? ", stored now" : ""}
                </option>
              ))}
            </select>
          )}
          <Button
            aria-pressed={compared && before !== undefined}
            disabled={before === undefined}
            title={before === undefined ? "There is none before it" : undefined}
            onClick={() => setCompared(!compared)}
            className="aria-pressed:bg-selected"
          >
            {before === undefined ? "No revision before" : `Compare with ${before.revision}`}
          </Button>
          <CopyButton text={() => answer.source} label="Copy the file">
            Copy
          </CopyButton>
        </span>
      </div>
      {answer.problem !== "" && <p className="border-line border-b bg-flaky-bg px-3 py-1.5 text-flaky-text">{answer.problem}</p>}
      {compared && old.error !== null && <Notice problem={problemOf(old.error)} />}
      {compared && old.data !== undefined ? (
        <DiffView before={old.data.source} after={answer.source} label="What changed" />
      ) : (
        <CodeView text={answer.source} label="The flow" />
      )}
      <Files answer={answer} before={compared ? old.data : undefined} file={file} />
    </>
  );
}

// A revision never changes.
function useRevision(file: string, index: number, revision: number, enabled: boolean) {
  return useQuery({
    queryKey: ["flow-revision", file, index, revision],
    queryFn: () => flows.getFlow({ file, index, revision: BigInt(revision) }),
    enabled: enabled && revision > 0,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

function Files({ answer, before, file }: { answer: GetFlowResponse; before: GetFlowResponse | undefined; file: string }) {
  const others = answer.files.filter((one) => one.path !== file);
  const old = new Map(before?.files.map((one) => [one.path, one.sha256]));
  const gone = before?.files.filter((one) => !answer.files.some((now) => now.path === one.path)) ?? [];
  if (others.length + gone.length === 0) return null;
  const said = (path: string, sha256: string) => (before === undefined ? "" : !old.has(path) ? "new" : old.get(path) === sha256 ? "" : "changed");
  return (
    <section aria-label="Files that it names" className="border-line border-t px-3 py-2">
      <h2 className="mb-1 text-text-2 text-xs">Files that it names</h2>
      <ul className="mono flex flex-col gap-0.5">
        {others.map((one) => (
          <li key={one.path} className="flex gap-3">
            <span className="min-w-0 truncate">{one.path}</span>
            <span className="text-text-2">{bytes(Number(one.size))}</span>
            <span className="text-flaky-text">{said(one.path, one.sha256)}</span>
          </li>
        ))}
        {gone.map((one) => (
          <li key={one.path} className="flex gap-3 text-text-2">
            <span className="truncate line-through">{one.path}</span> gone
          </li>
        ))}
      </ul>
    </section>
  );
}
