import { useEffect, useRef, useState } from "react";
import { plainAnsi } from "../../lib/ansi";
import type { LogLine, Recording } from "../../lib/recording";

// sliceLines is how many lines are searched before the browser may draw again.
const sliceLines = 20_000;

// useLogSearch are the numbers of the lines that hold a word, found piece by piece: a log
// of a million lines does not stop the page, and new lines are searched as they come.
export function useLogSearch(recording: Recording, version: number, word: string): readonly number[] {
  const [hits, setHits] = useState<readonly number[]>([]);
  const place = useRef({ recording, word, next: 0, found: [] as number[] });
  // biome-ignore lint/correctness/useExhaustiveDependencies: a recording changes in place, its version says when
  useEffect(() => {
    if (place.current.word !== word || place.current.recording !== recording) {
      place.current = { recording, word, next: 0, found: [] };
      setHits([]);
    }
    if (word === "") return;
    const at = place.current;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const slice = () => {
      const before = at.found.length;
      const end = Math.min(at.next + sliceLines, recording.log.length);
      for (; at.next < end; at.next++) {
        const line = recording.log[at.next];
        if (line !== undefined && holds(line, word)) at.found.push(at.next);
      }
      if (at.found.length > before) setHits([...at.found]);
      if (at.next < recording.log.length) timer = setTimeout(slice, 0);
    };
    slice();
    return () => clearTimeout(timer);
  }, [recording, version, word]);
  return hits;
}

function holds(line: LogLine, word: string): boolean {
  const text = line.text.includes("\u001b") ? plainAnsi(line.text) : line.text;
  return text.toLowerCase().includes(word);
}
