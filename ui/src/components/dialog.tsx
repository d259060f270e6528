import { type ReactNode, useEffect, useId, useRef } from "react";
import { Button } from "./button";
import { Icon } from "./icon";

// Dialog is the browser's own: it keeps the focus inside, closes by Escape, and gives
// the focus back to where it was.
export function Dialog({ title, close, children, wide }: { title: string; close: () => void; children: ReactNode; wide?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (dialog === null || dialog.open) return;
    dialog.showModal();
    // What is to be typed first, else the dialog itself: never the button that closes it.
    (dialog.querySelector<HTMLElement>("[data-first]") ?? dialog).focus();
    return () => dialog.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard has Escape, which the browser handles
    <dialog
      ref={ref}
      aria-labelledby={id}
      tabIndex={-1}
      onClose={(event) => !event.currentTarget.open && close()} // one that was opened again meanwhile stays
      onClick={(event) => event.target === ref.current && close()}
      className={`m-auto max-h-[85dvh] w-[calc(100vw-24px)] ${wide ? "max-w-2xl" : "max-w-md"} overflow-visible rounded-md outline-none border border-line bg-raised p-0 text-text shadow-overlay`}
    >
      <div className="flex max-h-[85dvh] flex-col">
        <header className="flex items-center justify-between border-line border-b py-2 pr-2 pl-4">
          <h2 id={id} className="text-base font-semibold">
            {title}
          </h2>
          <Button kind="quiet" onClick={close} aria-label="Close">
            <Icon name="close" />
          </Button>
        </header>
        <div className="overflow-y-auto p-4">{children}</div>
      </div>
    </dialog>
  );
}
