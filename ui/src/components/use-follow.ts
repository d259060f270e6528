import { useNavigate } from "@tanstack/react-router";
import type { MouseEvent } from "react";

// useFollow has a click on the row of a run stay within the page, unless it asks for
// another tab: the rows are plain links, because dozens of them are drawn at once.
export function useFollow(): (event: MouseEvent<HTMLElement>) => void {
  const navigate = useNavigate();
  return (event) => {
    const id = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-run]")?.dataset.run : undefined;
    if (id === undefined || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    void navigate({ to: "/runs/$id", params: { id } });
  };
}
