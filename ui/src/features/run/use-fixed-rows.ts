import { type RefObject, useEffect, useState } from "react";

// step is by how many rows the part that is laid out moves: a scroll of less draws nothing.
const step = 16;

// useFixedRows is which rows of one height are near the screen. It costs the same however
// many there are, where a list of heights costs as much as it is long, each time it grows.
export function useFixedRows(scroller: RefObject<HTMLElement | null>, total: number, height: number): { first: number; end: number } {
  const [at, setAt] = useState({ first: 0, seen: 3 * step });
  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const look = () => {
      const first = Math.floor(element.scrollTop / height / step) * step;
      const seen = Math.ceil(element.clientHeight / height) + step;
      setAt((was) => (was.first === first && was.seen === seen ? was : { first, seen }));
    };
    look();
    element.addEventListener("scroll", look, { passive: true });
    const sized = new ResizeObserver(look);
    sized.observe(element);
    return () => {
      element.removeEventListener("scroll", look);
      sized.disconnect();
    };
  }, [scroller, height]);
  return { first: Math.max(at.first - step, 0), end: Math.min(at.first + at.seen + step, total) };
}
