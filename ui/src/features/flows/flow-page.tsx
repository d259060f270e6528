import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { primaryLook } from "../../components/button";
import { Icon } from "../../components/icon";
import { Loading, Notice } from "../../components/notice";
import { Tabs } from "../../components/tabs";
import { Tags } from "../../components/tags";
import type { GetFlowResponse } from "../../gen/testmesh/api/v1/api_pb";
import { flows } from "../../lib/api";
import { problemOf } from "../../lib/problem";
import { FlowFacts } from "./flow-facts";
import { FlowRuns } from "./flow-runs";
import type { FlowView } from "./flow-view";
import { RevisionsView } from "./revisions-view";
import { SourceView } from "./source-view";

const refresh = 10_000;

// FlowPage is a stored flow: how it does, what it says, what it was, and its runs.
export function FlowPage() {
  const view = useSearch({ from: "/flows/show" });
  const navigate = useNavigate();
  const [file, index] = [view.file ?? "", Number(view.index ?? 0) || 0];
  const now = useQuery({
    queryKey: ["flow", file, index],
    queryFn: () => flows.getFlow({ file, index }),
    enabled: file !== "",
    refetchInterval: refresh,
  });
  const name = now.data?.flow?.name ?? file;
  useEffect(() => {
    document.title = `${name} · TestMesh`;
  }, [name]);
  if (file === "") return <Notice problem={{ title: "The address names no flow.", hint: "", requestId: "" }} />;
  if (now.data === undefined) return now.error === null ? <Loading what="The flow" /> : <Gone error={now.error} />;
  const go = (next: FlowView) => void navigate({ to: "/flows/show", search: { ...view, ...next }, replace: true });
  const at = view.view ?? "source";
  return (
    <div className="flex min-h-full min-w-0 shrink-0 flex-col bg-bg">
      <Header answer={now.data} view={view} />
      {now.error !== null && <Notice problem={{ ...problemOf(now.error), hint: "What you see is as of before." }} />}
      <FlowFacts answer={now.data} />
      <Tabs
        label="The flow"
        at={at}
        choose={(id) => go({ view: id === "source" ? undefined : id })}
        tabs={[
          { id: "source", label: "Source" },
          { id: "revisions", label: "Revisions" },
          { id: "runs", label: "Runs" },
        ]}
      />
      <div role="tabpanel" aria-label={at} className="min-w-0 flex-1">
        {at === "source" && <SourceView now={now.data} file={file} index={index} revision={Number(view.revision ?? 0) || 0} go={go} />}
        {at === "revisions" && <RevisionsView file={file} index={index} go={go} />}
        {at === "runs" && <FlowRuns flow={name} />}
      </div>
    </div>
  );
}

function Gone({ error }: { error: Error }) {
  return (
    <Notice problem={problemOf(error)}>
      <Link to="/flows" className="text-accent underline">
        All flows
      </Link>
    </Notice>
  );
}

function Header({ answer, view }: { answer: GetFlowResponse; view: FlowView }) {
  const flow = answer.flow;
  return (
    <header className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3 pt-3 pb-1">
      <Link to="/flows" className="text-text-2 hover:underline" aria-label="All flows">
        Flows
      </Link>
      <span aria-hidden="true" className="text-text-3">
        /
      </span>
      <h1 className="min-w-0 text-lg font-semibold">{flow?.name}</h1>
      <Tags tags={flow?.tags ?? []} all />
      <Link to="/runs/queue" search={{ file: view.file, index: view.index }} className={`${primaryLook} ml-auto`}>
        <Icon name="plus" /> Queue a run
      </Link>
      {flow !== undefined && flow.description !== "" && <p className="w-full text-text-2">{flow.description}</p>}
    </header>
  );
}
