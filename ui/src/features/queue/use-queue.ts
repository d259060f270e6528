import { keepPreviousData, useMutation, useQueries, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { agents, flows, runs } from "../../lib/api";
import { type Draft, useDraft } from "../../lib/draft";
import { freshKey } from "../../lib/fresh-key";
import { type FormInput, formInputs } from "../../lib/inputs";
import { type RowsRead, readRows } from "../../lib/rows";
import { nameOf, useSettled } from "../../lib/use-settled";
import { problemsOf, type QueueDraft, requestOf, storedOf, targetOf } from "./queue-draft";

// mostForms is of how many flows the inputs are asked for.
const mostForms = 20;
// pause is how long somebody must not type before the server is asked.
const pause = 300;
const refresh = 3_000;

// useQueue is the form of one wish: what was typed, what is wrong with it, and what the
// server says that would come of it.
export function useQueue(name: string, initial: QueueDraft, done: (batch: string, runs: number) => void) {
  const draft = useDraft(name, initial);
  const [secrets, setSecrets] = useState<Record<string, string>>({}); // never in any storage
  const chosen = useChosen(draft.value);
  const form = formInputs(chosen.details);
  const { data } = draft.value;
  const read = useQuery({
    queryKey: ["rows", nameOf(data)],
    queryFn: () => (data === null ? null : readRows(data.name, data.text)),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const problems = problemsOf(draft.value, form, secrets, read.data?.columns ?? []);
  if (data !== null && (read.data?.problem ?? "") !== "") problems.set("data", read.data?.problem ?? "");
  const plan = usePlan(draft.value, form, secrets, problems.size === 0 && chosen.known);
  const fits = useFits(draft.value);
  const queue = useSubmit(draft, form, secrets, done);
  return { draft, secrets, setSecrets, chosen, form, read: read.data ?? null, problems, plan, fits, queue };
}

export type Queue = ReturnType<typeof useQueue>;

// useChosen reads the flows that are chosen, for what they ask for.
function useChosen(draft: QueueDraft) {
  const tags = useSettled(draft.tags.trim(), pause);
  const tagged = useQuery({
    queryKey: ["queue-tagged", tags],
    queryFn: () => flows.listFlows({ tags, pageSize: 1_000 }),
    enabled: draft.by === "tags" && tags !== "",
    retry: false,
  });
  const list = draft.by === "flows" ? draft.flows : (tagged.data?.flows ?? []);
  const asked = useQueries({
    queries: list.slice(0, mostForms).map(({ file, index }) => ({
      queryKey: ["queue-flow", file, index],
      queryFn: () => flows.getFlow({ file, index }),
      staleTime: 10_000,
    })),
  });
  const details = asked.flatMap(({ data }) =>
    data === undefined ? [] : [{ ...data, name: data.flow?.name ?? "", file: data.flow?.file ?? "", index: data.flow?.index ?? 0 }],
  );
  return {
    details,
    count: list.length,
    more: draft.by === "tags" && (tagged.data?.nextPageToken ?? "") !== "",
    unasked: Math.max(list.length - mostForms, 0),
    known: asked.every((one) => !one.isPending) && (draft.by === "flows" || tagged.isSuccess),
    error: tagged.error ?? asked.find((one) => one.error !== null)?.error ?? null,
  };
}

// usePlan asks what would be queued, once there is nothing wrong that can be seen here.
function usePlan(draft: QueueDraft, form: readonly FormInput[], secrets: Record<string, string>, ready: boolean) {
  const request = requestOf(draft, form, secrets);
  const { rows, ...rest } = request;
  const text = useSettled(JSON.stringify(rest), pause);
  return useQuery({
    queryKey: ["queue-plan", text, nameOf(draft.data)],
    queryFn: () => runs.previewBatch(request),
    enabled: ready && text === JSON.stringify(rest),
    placeholderData: keepPreviousData,
    retry: false,
    gcTime: 0,
  });
}

// useFits looks at the agents all the time: one may come or go while somebody types.
function useFits(draft: QueueDraft) {
  const target = targetOf(draft.labels);
  const request = { flows: storedOf(draft), environment: draft.environment, target };
  const text = useSettled(JSON.stringify(request), pause);
  const anything = draft.by === "flows" ? draft.flows.length > 0 : draft.tags.trim() !== "";
  return useQuery({
    queryKey: ["queue-fits", text],
    queryFn: () => agents.matchAgents(JSON.parse(text) as typeof request),
    enabled: anything,
    refetchInterval: refresh,
    placeholderData: keepPreviousData,
    retry: false,
  });
}

function useSubmit(
  draft: Draft<QueueDraft>,
  form: readonly FormInput[],
  secrets: Record<string, string>,
  done: (batch: string, runs: number) => void,
) {
  return useMutation({
    mutationFn: async () => {
      const request = requestOf(draft.value, form, secrets);
      const { rows, ...rest } = request;
      const tried = `${JSON.stringify(rest)} ${nameOf(draft.value.data)}`;
      const key = draft.value.keyOf === tried ? draft.value.key : freshKey();
      draft.set({ key, keyOf: tried });
      return runs.createBatch({ ...request, idempotencyKey: key });
    },
    onSuccess: ({ batch }) => {
      draft.clear();
      done(batch?.id ?? "", batch?.runs ?? 0);
    },
  });
}

export type { RowsRead };
