import { type ReactNode, useId } from "react";

export const control =
  "h-8 w-full min-w-0 rounded-sm border border-control bg-bg px-2 placeholder:text-text-3 aria-invalid:border-failed disabled:opacity-50";

export interface FieldProps {
  id: string;
  "aria-describedby": string;
  "aria-invalid": boolean;
}

// Field is something to fill in: its name, what it is for, and what is wrong with what
// was typed, told to who does not see it too.
export function Field({
  label,
  hint,
  problem = "",
  mark,
  className = "",
  children,
}: {
  label: ReactNode;
  hint?: ReactNode;
  problem?: string;
  mark?: string;
  className?: string;
  children: (props: FieldProps) => ReactNode;
}) {
  const id = useId();
  const help = `${id}-help`;
  return (
    <div className={`flex min-w-0 flex-col gap-1 ${className}`}>
      <label htmlFor={id} className="flex items-baseline gap-2 font-medium">
        {label}
        {mark !== undefined && <span className="font-normal text-text-2 text-xs">{mark}</span>}
      </label>
      {children({ id, "aria-describedby": help, "aria-invalid": problem !== "" })}
      <p id={help} className={problem === "" ? "text-text-2 text-xs empty:hidden" : "text-failed-text text-xs"}>
        {problem || hint}
      </p>
    </div>
  );
}
