import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { Button } from "../../components/button";
import { control, Field } from "../../components/field";
import { Panel } from "../../components/panel";
import { environments, runs } from "../../lib/api";
import { plural } from "../../lib/format";
import { problemOf } from "../../lib/problem";
import { ChooseFlows } from "./choose-flows";
import { DataFile } from "./data-file";
import { HowFields } from "./how-fields";
import { InputFields } from "./input-fields";
import { emptyDraft, type QueueDraft } from "./queue-draft";
import { SubmitButton, Summary } from "./summary";
import { type Queue, useQueue } from "./use-queue";

// QueueSearch is what the form begins with, where a link brings it.
export interface QueueSearch {
  file?: string;
  index?: string;
  tag?: string;
}

export function QueuePage() {
  const search = useSearch({ from: "/runs/queue" });
  const name = `queue ${search.file ?? ""} ${search.index ?? ""} ${search.tag ?? ""}`;
  return <QueueForm key={name} name={name} search={search} />;
}

function initialOf({ file, index, tag }: QueueSearch): QueueDraft {
  if (file !== undefined) return { ...emptyDraft, flows: [{ file, index: Number(index ?? 0) || 0, name: file }] };
  return tag === undefined ? emptyDraft : { ...emptyDraft, by: "tags", tags: tag };
}

function QueueForm({ name, search }: { name: string; search: QueueSearch }) {
  const navigate = useNavigate();
  const form = useRef<HTMLFormElement>(null);
  const [initial] = useState(() => initialOf(search));
  const [tried, setTried] = useState(false);
  const queue = useQueue(name, initial, (batch, count) => void open(batch, count));
  useEffect(() => {
    document.title = "Queue a run · TestMesh";
    form.current?.querySelector<HTMLElement>("[data-first]")?.focus();
  }, []);
  // One run is watched at once; several are watched in their list.
  const open = async (batch: string, count: number) => {
    const only = count === 1 ? (await runs.listRuns({ batchId: batch, pageSize: 1 }).catch(() => null))?.runs[0] : undefined;
    if (only === undefined) await navigate({ to: "/runs", search: { batch } });
    else await navigate({ to: "/runs/$id", params: { id: only.id } });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (queue.problems.size === 0) queue.queue.mutate();
    // The field is told once it is drawn as wrong.
    else requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
  };
  return (
    <form ref={form} onSubmit={submit} noValidate className="mx-auto w-full max-w-6xl p-3 sm:p-4">
      <header className="mb-3 flex items-center gap-3">
        <h1 className="text-lg font-semibold">Queue a run</h1>
        <span className="ml-auto flex gap-2">
          <Button kind="quiet" onClick={() => queue.draft.clear()}>
            Begin anew
          </Button>
        </span>
      </header>
      <div className="grid items-start gap-3 lg:grid-cols-[minmax(0,1fr)_22rem]">
        <Fields queue={queue} tried={tried} />
        <div className="flex flex-col gap-3 lg:sticky lg:top-4">
          <Summary queue={queue} tried={tried} />
          <div className="hidden lg:block">
            <SubmitButton queue={queue} />
          </div>
        </div>
      </div>
      {/* Where the summary is far below what is filled in, the button is always there. */}
      <div className="sticky bottom-0 -mx-3 mt-3 -mb-3 border-line border-t bg-canvas p-3 sm:-mx-4 sm:-mb-4 lg:hidden">
        <SubmitButton queue={queue} />
      </div>
    </form>
  );
}

function Fields({ queue, tried }: { queue: Queue; tried: boolean }) {
  const { draft, chosen, problems, form } = queue;
  const { value, set } = draft;
  // What is missing is said once somebody tried; what is wrong, at once.
  const told = new Map([...problems].filter(([field]) => tried || (field !== "flows" && typed(queue, field))));
  const names = new Map(chosen.details.map((one) => [`${one.file} ${one.index}`, one.name]));
  const named = { ...value, flows: value.flows.map((one) => ({ ...one, name: names.get(`${one.file} ${one.index}`) ?? one.name })) };
  const count =
    value.by === "tags" && chosen.known
      ? `${plural(chosen.count, "flow")}${chosen.more ? " and more" : ""} ${chosen.count === 1 ? "fits" : "fit"} now`
      : "";
  return (
    <div className="flex min-w-0 flex-col gap-3">
      <Panel title="Flows">
        <ChooseFlows
          draft={named}
          set={set}
          problem={told.get("flows") ?? (chosen.error === null ? "" : problemOf(chosen.error).title)}
          count={count}
        />
      </Panel>
      {form.length > 0 && (
        <Panel title="Inputs" side={chosen.unasked > 0 && `of the first flows; ${plural(chosen.unasked, "more flow")}`}>
          <InputFields
            form={form}
            values={value.inputs}
            secrets={queue.secrets}
            set={(name, text, secret) =>
              secret ? queue.setSecrets((was) => ({ ...was, [name]: text })) : set({ inputs: { ...value.inputs, [name]: text } })
            }
            problems={told}
            columns={queue.read?.columns ?? []}
            many={chosen.details.length > 1}
          />
        </Panel>
      )}
      <Panel title="Where">
        <Where draft={value} set={set} problem={told.get("labels") ?? ""} targets={chosen.details.some((one) => one.target !== undefined)} />
      </Panel>
      <Panel title="Rows">
        <DataFile data={value.data} read={queue.read} kept={draft.kept} set={(data) => set({ data })} />
      </Panel>
      <Panel title="How">
        <HowFields draft={value} set={set} problems={told} />
      </Panel>
    </div>
  );
}

function typed({ draft, secrets }: Queue, field: string): boolean {
  const name = field.startsWith("input ") ? field.slice(6) : "";
  return name === "" || (draft.value.inputs[name] ?? secrets[name] ?? "") !== "";
}

function Where({
  draft,
  set,
  problem,
  targets,
}: {
  draft: QueueDraft;
  set: (change: Partial<QueueDraft>) => void;
  problem: string;
  targets: boolean;
}) {
  const known = useQuery({ queryKey: ["environments"], queryFn: () => environments.listEnvironments({}) });
  const names = known.data?.environments.map((one) => one.name) ?? [];
  const listed = draft.environment === "" || names.includes(draft.environment) ? names : [draft.environment, ...names];
  return (
    <div className="grid gap-x-4 gap-y-3 p-3 sm:grid-cols-2">
      <Field
        label="Environment"
        hint={known.isSuccess && names.length === 0 ? "None is stored: testmesh env put makes one." : "Its values and secrets go to the runs"}
      >
        {(props) => (
          <select {...props} value={draft.environment} onChange={(event) => set({ environment: event.target.value })} className={control}>
            <option value="">none</option>
            {listed.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field
        label="Agents with labels"
        hint={
          targets
            ? "Empty: as the flows themselves ask for. zone=eu-1,eu-2 is one or the other, trust!=low excludes"
            : "zone=eu-1,eu-2 is one or the other, trust!=low excludes"
        }
        problem={problem}
      >
        {(props) => (
          <input
            {...props}
            value={draft.labels}
            onChange={(event) => set({ labels: event.target.value })}
            placeholder="any agent"
            spellCheck={false}
            autoComplete="off"
            className={`${control} mono`}
          />
        )}
      </Field>
    </div>
  );
}
