"""The benchmark of order: classes that differ in the order of what happens (docs/order.md)."""
