import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { Button } from "../../components/button";
import { Dialog } from "../../components/dialog";
import type { Flow } from "../../gen/testmesh/api/v1/record_pb";
import { environments, runs } from "../../lib/api";
import { parsePins } from "../../lib/pins";
import { problemOf } from "../../lib/problem";

// QueueRun queues a stored flow: where, by which agents, how often.
export function QueueRun({ flow, close }: { flow: Flow; close: () => void }) {
  const navigate = useNavigate();
  const [environment, setEnvironment] = useState("");
  const [labels, setLabels] = useState("");
  const [repeat, setRepeat] = useState(1);
  const known = useQuery({ queryKey: ["environments"], queryFn: () => environments.listEnvironments({}) });
  const { pins, problem } = parsePins(labels);
  const queue = useMutation({
    mutationFn: () =>
      runs.createBatch({
        source: {
          bundle: flow.bundle,
          flows: [{ file: flow.file, index: flow.index }],
          environment,
          repeat,
          target:
            problem === "" && labels.trim() !== ""
              ? { match: Object.fromEntries(Object.entries(pins).map(([name, value]) => [name, { values: [value] }])) }
              : undefined,
          trigger: "the page",
        },
        idempotencyKey: crypto.randomUUID(),
      }),
    onSuccess: () => void navigate({ to: "/runs", search: { flow: flow.name } }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (problem === "") queue.mutate();
  };
  const field = "h-8 rounded-sm border border-control bg-bg px-2";
  return (
    <Dialog title={`Run ${flow.name}`} close={close}>
      <form onSubmit={submit} className="flex flex-col gap-3">
        <label className="flex flex-col gap-1">
          Environment
          <select value={environment} onChange={(event) => setEnvironment(event.target.value)} className={field}>
            <option value="">none</option>
            {known.data?.environments.map((one) => (
              <option key={one.name} value={one.name}>
                {one.name}
              </option>
            ))}
          </select>
        </label>
        <label className="flex flex-col gap-1">
          Labels that its agent must have
          <input
            value={labels}
            onChange={(event) => setLabels(event.target.value)}
            placeholder="zone=eu-1"
            aria-invalid={problem !== ""}
            aria-describedby="labels-problem"
            spellCheck={false}
            className={`${field} mono placeholder:text-text-3`}
          />
        </label>
        <p id="labels-problem" className={problem === "" ? "sr-only" : "text-failed-text"}>
          {problem}
        </p>
        <label className="flex flex-col gap-1">
          How often
          <input
            type="number"
            min={1}
            max={10_000}
            value={repeat}
            onChange={(event) => setRepeat(Math.max(1, Math.min(10_000, event.target.valueAsNumber || 1)))}
            className={field}
          />
        </label>
        {queue.error !== null && (
          <p role="alert" className="text-failed-text">
            {problemOf(queue.error).title}
          </p>
        )}
        <span className="flex justify-end gap-2">
          <Button onClick={close}>Not now</Button>
          <Button kind="primary" type="submit" disabled={problem !== "" || queue.isPending}>
            Queue it
          </Button>
        </span>
      </form>
    </Dialog>
  );
}
