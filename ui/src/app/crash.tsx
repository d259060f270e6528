import { Button } from "../components/button";
import { Notice } from "../components/notice";
import { problemOf } from "../lib/problem";

// Crash is what is shown where a screen itself is broken: the rest of the page works on.
export function Crash({ error, reset }: { error: unknown; reset: () => void }) {
  return (
    <Notice problem={{ ...problemOf(error), hint: "This screen has a fault. What runs, runs on." }}>
      <Button onClick={reset}>Show it again</Button>
      <Button onClick={() => location.reload()}>Load the page anew</Button>
    </Notice>
  );
}
