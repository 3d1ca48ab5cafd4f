"""A process that keeps one core busy until it is killed: `python -m bench --busy` measures beside it."""

if __name__ == "__main__":
    while True:
        pass
