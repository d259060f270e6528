import { control, Field } from "../../components/field";
import { priorities, type QueueDraft } from "./queue-draft";

interface Props {
  draft: QueueDraft;
  set: (change: Partial<QueueDraft>) => void;
  problems: ReadonlyMap<string, string>;
}

const counts = [
  { field: "iterations", label: "Iterations", hint: "Rows from the first on, beginning again after the last", none: "each row once" },
  { field: "repeat", label: "Repeat", hint: "All of it, that often", none: "once" },
  { field: "parallelism", label: "At most at a time", hint: "Of these runs, on all agents together", none: "as many as there are slots" },
] as const;

// HowFields says how often, how many at a time, and how soon.
export function HowFields({ draft, set, problems }: Props) {
  return (
    <div className="grid gap-x-4 gap-y-3 p-3 sm:grid-cols-2">
      {counts.map(({ field, label, hint, none }) => (
        <Field key={field} label={label} hint={hint} problem={problems.get(field)}>
          {(props) => (
            <input
              {...props}
              inputMode="numeric"
              autoComplete="off"
              value={draft[field]}
              onChange={(event) => set({ [field]: event.target.value })}
              placeholder={none}
              className={control}
            />
          )}
        </Field>
      ))}
      <Field label="Priority" hint="Before others that wait; normal ones are not starved">
        {(props) => (
          <select {...props} value={draft.priority} onChange={(event) => set({ priority: Number(event.target.value) })} className={control}>
            {priorities.map((one) => (
              <option key={one.value} value={one.value}>
                {one.word}
              </option>
            ))}
          </select>
        )}
      </Field>
      <label className="flex items-center gap-2 sm:col-span-2">
        <input type="checkbox" checked={draft.stop} onChange={(event) => set({ stop: event.target.checked })} className="size-4 accent-accent" />
        Start no more of them once one did not pass
      </label>
    </div>
  );
}
