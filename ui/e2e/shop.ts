// The flows of a shop, for pictures: what a team has that tests its services.

const api = `  env: {API: '$\{API_BASE_URL:http://127.0.0.1:7071}', FAULT: drip=0s}
`;

export const shop: Record<string, string> = {
  checkout: `flow:
  name: Checkout with a voucher
  suite: orders
  tags: [smoke, orders]
${api}  setup:
    - id: catalogue
      name: The catalogue is there
      action: http.request
      config: {url: "$\{API}/products"}
      assert: [status == 200]
  steps:
    - id: article
      name: Look at an article
      action: http.request
      config: {url: "$\{API}/products/TEA-001"}
      assert: [status == 200, body.in_stock, 'body.name == "Darjeeling First Flush"']
    - id: order
      name: Place the order
      action: http.request
      config:
        method: POST
        url: $\{API}/orders
        headers: {X-Fault: "$\{FAULT}"}
        body: {items: [{sku: TEA-001, qty: 2}]}
      assert:
        - status == 201
        - {expression: body.total == 59.80, message: two packets of tea}
        - body.status == "confirmed"
        - body.items[0].qty == 2
      output: {order_id: body.id}
    - id: read_back
      name: Read it back
      action: http.request
      config: {url: "$\{API}/orders/$\{order_id}"}
      match: {status: 200, body: {id: "$\{order_id}", status: confirmed}}
  teardown:
    - {id: tidy, name: Tidy up, action: log, config: {message: "the voucher is given back"}}
`,
  refund: `flow:
  name: Refund within 14 days
  suite: payments
  tags: [orders, payments]
${api}  steps:
    - id: order
      action: http.request
      config: {method: POST, url: "$\{API}/orders", body: {items: [{sku: TEA-001, qty: 1}]}}
      assert: [status == 201]
      output: {order_id: body.id}
    - id: refund
      action: http.request
      config: {method: DELETE, url: "$\{API}/orders/$\{order_id}"}
`,
  search: `flow:
  name: Search the catalogue
  suite: catalogue
  tags: [smoke, catalogue]
${api}  data: [{name: tea}, {name: coffee}, {name: cups}, {name: gifts}]
  input: {name: {type: string}}
  steps:
    - id: search
      action: http.request
      config: {url: "$\{API}/products"}
      assert: [status == 200]
    - {id: note, action: log, config: {message: "looked for $\{name}"}}
`,
  signin: `flow:
  name: Sign in and out
  suite: accounts
  tags: [smoke, accounts]
${api}  steps:
    - {id: health, action: http.request, config: {url: "$\{API}/healthz"}, assert: [status == 200]}
    - {id: signed_in, action: log, config: {message: ada is signed in}}
`,
  carrier: `flow:
  name: The carrier quotes a price
  suite: shipping
  tags: [shipping]
  steps:
    - id: quote
      action: http.request
      config: {url: "http://127.0.0.1:1/quotes?weight=2kg"}
      assert: [status == 200]
`,
  stock: `flow:
  name: Stock is reserved for an order
  suite: warehouse
  tags: [stock]
${api}  steps:
    - {id: before, action: http.request, config: {url: "$\{API}/products/TEA-001"}, assert: [body.in_stock]}
    - id: reserve
      action: for_each
      config:
        items: [1, 2, 3]
        steps:
          - {id: reserve_one, action: http.request, config: {method: POST, url: "$\{API}/orders", body: {items: [{sku: TEA-001, qty: 1}]}}, assert: [status == 201]}
`,
  invoices: `flow:
  name: Invoices add up
  suite: payments
  tags: [payments]
${api}  steps:
    - id: numbers
      action: set
      config: {net: 50.25, tax: 9.55}
    - {id: total, action: assert, assert: [net + tax == 59.80]}
`,
  report: `flow:
  name: Nightly stock report
  suite: warehouse
  tags: [stock, slow]
${api}  steps:
    - {id: begin, action: http.request, config: {url: "$\{API}/products"}, assert: [status == 200]}
    - {id: wait, name: Wait for the warehouse, action: delay, config: {duration: 0s}}
    - {id: end, action: log, config: {message: all counted}}
`,
};
