"""A process that keeps one core busy until it is killed, for `python -m bench --busy`."""

if __name__ == "__main__":
    while True:
        pass
