// FlowView is what the address says of a flow's page.
export interface FlowView {
  file?: string;
  index?: string;
  view?: string;
  revision?: string;
}
