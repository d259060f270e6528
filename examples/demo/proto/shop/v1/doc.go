// Package shopv1 is the shop of the demonstration application over gRPC. It
// never holds code of its own: shop.proto is the source.
package shopv1
