import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../components/button";
import { Choice } from "../../components/choice";
import { CommandLine } from "../../components/command-line";
import { control, Field } from "../../components/field";
import { Icon } from "../../components/icon";
import { Loading } from "../../components/notice";
import { flows as api } from "../../lib/api";
import { plural } from "../../lib/format";
import { problemOf } from "../../lib/problem";
import type { ChosenFlow, QueueDraft } from "./queue-draft";

const shown = 50;
const refresh = 5_000;

const same = (a: ChosenFlow, b: ChosenFlow) => a.file === b.file && a.index === b.index;

// ChooseFlows says what is queued: stored flows one by one, or all that fit an expression.
export function ChooseFlows({
  draft,
  set,
  problem,
  count,
}: {
  draft: QueueDraft;
  set: (change: Partial<QueueDraft>) => void;
  problem: string;
  count: string;
}) {
  return (
    <div className="flex flex-col gap-3 p-3">
      <Choice
        label="What is queued"
        options={[
          { value: "flows", word: "Flows one by one" },
          { value: "tags", word: "All with tags" },
        ]}
        value={draft.by}
        choose={(by) => set({ by })}
      />
      {draft.by === "tags" ? (
        <Field label="Tag expression" hint={count || "As smoke && !slow, or (checkout || cart) && nightly"} problem={problem}>
          {(props) => (
            <input
              {...props}
              value={draft.tags}
              onChange={(event) => set({ tags: event.target.value })}
              spellCheck={false}
              autoComplete="off"
              className={`${control} mono`}
            />
          )}
        </Field>
      ) : (
        <OneByOne draft={draft} set={set} problem={problem} />
      )}
    </div>
  );
}

function OneByOne({ draft, set, problem }: { draft: QueueDraft; set: (change: Partial<QueueDraft>) => void; problem: string }) {
  const [find, setFind] = useState("");
  const [open, setOpen] = useState(draft.flows.length === 0);
  const list = useQuery({
    queryKey: ["queue-flows", find],
    queryFn: () => api.listFlows({ name: find, pageSize: 1_000 }),
    enabled: open,
    refetchInterval: refresh,
    placeholderData: (before) => before,
  });
  const found = list.data?.flows ?? [];
  const toggle = (flow: ChosenFlow, on: boolean) =>
    set({ flows: on ? [...draft.flows, { file: flow.file, index: flow.index, name: flow.name }] : draft.flows.filter((one) => !same(one, flow)) });
  return (
    <>
      {draft.flows.length > 0 && (
        <ul aria-label="Chosen flows" className="flex flex-wrap gap-1.5">
          {draft.flows.map((flow) => (
            <li key={`${flow.file} ${flow.index}`} className="flex max-w-full items-center rounded-sm border border-control bg-selected pl-2">
              <span className="truncate">{flow.name}</span>
              <Button kind="quiet" className="px-1!" aria-label={`Leave out ${flow.name}`} onClick={() => toggle(flow, false)}>
                <Icon name="close" className="size-3" />
              </Button>
            </li>
          ))}
          {!open && (
            <li>
              <Button onClick={() => setOpen(true)}>
                <Icon name="plus" /> More flows
              </Button>
            </li>
          )}
        </ul>
      )}
      {open && (
        <Field label="Find flows" problem={problem} hint={list.error === null ? "" : problemOf(list.error).title}>
          {(props) => (
            <>
              <input
                {...props}
                data-first
                value={find}
                onChange={(event) => setFind(event.target.value)}
                placeholder="A part of the name"
                spellCheck={false}
                className={control}
              />
              {list.isPending && <Loading what="Flows" />}
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
              <ul aria-label="Stored flows" tabIndex={0} className="max-h-60 overflow-y-auto rounded-sm border border-line empty:hidden">
                {found.slice(0, shown).map((flow) => (
                  <li key={`${flow.file} ${flow.index}`} className="border-line border-b last:border-b-0">
                    <label className="flex min-h-8 items-center gap-2 px-2 hover:bg-hover">
                      <input
                        type="checkbox"
                        checked={draft.flows.some((one) => same(one, flow))}
                        onChange={(event) => toggle(flow, event.target.checked)}
                        className="size-4 accent-accent"
                      />
                      <span className="min-w-0 truncate">{flow.name}</span>
                      <span className="mono ml-auto hidden min-w-0 truncate text-text-2 sm:inline">{flow.file}</span>
                    </label>
                  </li>
                ))}
              </ul>
              {list.isSuccess && found.length === 0 && find !== "" && <p className="text-text-2">No stored flow is called that.</p>}
              {list.isSuccess && found.length === 0 && find === "" && (
                <>
                  <p className="text-text-2">No flow is stored here yet. In a folder with flows, in a terminal:</p>
                  <CommandLine text={`testmesh push --server ${location.origin}`} label="the command" />
                </>
              )}
              {found.length > shown && <p className="text-text-2 text-xs">{plural(found.length - shown, "more flow")}: write more of the name.</p>}
            </>
          )}
        </Field>
      )}
    </>
  );
}
