// Choice is one of a few words, side by side.
export function Choice<T extends string | number | undefined>({
  label,
  options,
  value,
  choose,
}: {
  label: string;
  options: readonly { value: T; word: string }[];
  value: T;
  choose: (value: T) => void;
}) {
  return (
    <div role="group" aria-label={label} className="flex gap-1 overflow-x-auto">
      {options.map((option) => (
        <button
          key={option.word}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => choose(option.value)}
          className={`h-7 shrink-0 rounded-sm px-2 ${option.value === value ? "bg-selected font-medium text-text" : "text-text-2 hover:bg-hover hover:text-text"}`}
        >
          {option.word}
        </button>
      ))}
    </div>
  );
}
