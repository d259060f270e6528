import { Fragment } from "react";
import { Kbd } from "../components/button";
import { Dialog } from "../components/dialog";
import { listShortcuts } from "../lib/shortcuts";

export function ShortcutSheet({ close }: { close: () => void }) {
  return (
    <Dialog title="Shortcuts" close={close}>
      <p className="mb-3 text-text-2">Single keys rest while you type.</p>
      {[...Map.groupBy(listShortcuts(), (one) => one.group)].map(([group, parts]) => (
        <section key={group} className="mb-4">
          <h3 className="mb-1 font-semibold">{group}</h3>
          <dl className="grid grid-cols-[8rem_1fr] gap-x-3 gap-y-1.5">
            {parts
              .flatMap((part) => part.list)
              .map((shortcut) => (
                <Fragment key={shortcut.keys}>
                  <dt className="flex gap-1">
                    {shortcut.keys.split(/[ +]/).map((key) => (
                      <Kbd key={key}>{key === "mod" ? "Ctrl" : key}</Kbd>
                    ))}
                  </dt>
                  <dd>{shortcut.does}</dd>
                </Fragment>
              ))}
          </dl>
        </section>
      ))}
    </Dialog>
  );
}
