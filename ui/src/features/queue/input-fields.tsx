import { control, Field, type FieldProps } from "../../components/field";
import type { FormInput } from "../../lib/inputs";

const words: Record<string, string> = {
  string: "text",
  number: "number",
  integer: "whole number",
  boolean: "true or false",
  array: "list, as JSON",
  object: "object, as JSON",
  any: "text, or JSON",
};

interface Props {
  form: readonly FormInput[];
  values: Record<string, string>;
  secrets: Record<string, string>;
  set: (name: string, text: string, secret: boolean) => void;
  problems: ReadonlyMap<string, string>;
  columns: readonly string[];
  many: boolean;
}

// InputFields is the form that the flows themselves declare.
export function InputFields({ form, values, secrets, set, problems, columns, many }: Props) {
  return (
    <div className="grid gap-x-4 gap-y-3 p-3 sm:grid-cols-2">
      {form.map((input) => {
        const text = (input.secret ? secrets : values)[input.name] ?? "";
        const rows = columns.includes(input.name) ? "The data file has it" : "";
        const of = many ? `For ${input.flows.join(", ")}` : "";
        return (
          <Field
            key={input.name}
            label={<code>{input.name}</code>}
            mark={[input.secret ? "secret" : (words[input.type] ?? input.type), input.preset === null && rows === "" ? "needed" : ""]
              .filter(Boolean)
              .join(" · ")}
            hint={[input.description.replace(/[.]?\s*$/, ""), rows, of].filter(Boolean).join(". ")}
            problem={problems.get(`input ${input.name}`)}
            className={input.type === "object" || input.type === "array" ? "sm:col-span-2" : ""}
          >
            {(props) => <Input input={input} text={text} change={(next) => set(input.name, next, input.secret)} props={props} />}
          </Field>
        );
      })}
    </div>
  );
}

function Input({ input, text, change, props }: { input: FormInput; text: string; change: (text: string) => void; props: FieldProps }) {
  const preset = input.preset === null ? "" : input.preset;
  const known = input.enum.length > 0 ? input.enum : input.type === "boolean" ? ["true", "false"] : null;
  if (known !== null && !input.mixed && !input.secret) {
    return (
      <select {...props} value={text} onChange={(event) => change(event.target.value)} className={control}>
        <option value="">{input.preset === null ? "Choose…" : `${preset} (the default)`}</option>
        {known.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    );
  }
  if ((input.type === "array" || input.type === "object") && !input.secret) {
    return (
      <textarea
        {...props}
        value={text}
        onChange={(event) => change(event.target.value)}
        rows={3}
        placeholder={preset}
        spellCheck={false}
        className={`${control} mono h-auto! resize-y py-1.5`}
      />
    );
  }
  return (
    <input
      {...props}
      type={input.secret ? "password" : "text"}
      autoComplete="off"
      inputMode={input.type === "integer" ? "numeric" : input.type === "number" ? "decimal" : undefined}
      value={text}
      onChange={(event) => change(event.target.value)}
      placeholder={input.secret && input.preset !== null ? "as the flow has it" : preset}
      spellCheck={false}
      className={control}
    />
  );
}
