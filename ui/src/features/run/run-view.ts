// RunView is what the address says of a run's page: every place on it can be sent on.
export interface RunView {
  view?: string; // steps, log, files, attempts, compare
  step?: string; // a step's key, "steps/checkout/each[2]/pay"
  tab?: string; // of the step: result, exchange, variables
  try?: string;
  line?: string; // of the log: the number of its event, "12" or "12.1"
  attempt?: string;
  with?: string; // the run that it is compared with; without, the last that passed
}
