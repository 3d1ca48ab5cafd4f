"""What benchmarks, storms and tests share: gateway processes, a proxy, recorded histories and their checker."""
