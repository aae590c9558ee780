"""The parts of the overhead benchmark: mock upstream, load, the gateways compared, processes, figures."""
