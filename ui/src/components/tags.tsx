// Tags are those of a flow: a few in a list, all where there is room.
export function Tags({ tags, all }: { tags: readonly string[]; all?: boolean }) {
  const shown = all ? tags : tags.slice(0, 3);
  return (
    <span className={`flex min-w-0 gap-1 ${all ? "flex-wrap" : ""}`}>
      {shown.map((tag) => (
        <span key={tag} className="shrink-0 rounded-sm border border-line px-1 text-text-2 text-xs">
          {tag}
        </span>
      ))}
      {shown.length < tags.length && (
        <span className="text-text-2 text-xs" title={tags.slice(shown.length).join(", ")}>
          +{tags.length - shown.length}
        </span>
      )}
    </span>
  );
}
