import { useEffect, useState } from "react";

// useSettled is a value once it has not changed for a while: what is typed is asked about
// when somebody pauses, not at every key.
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(() => value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

const names = new WeakMap<object, number>();
let last = 0;

// nameOf tells one object from another where its content is too large to compare.
export function nameOf(one: object | null): number {
  if (one === null) return 0;
  let name = names.get(one);
  if (name === undefined) {
    name = ++last;
    names.set(one, name);
  }
  return name;
}
