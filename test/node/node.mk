# Targets to use the end-to-end tests' node by hand: see test/node/README.md. The Makefile includes this file.
.PHONY: node-build node-up node-down node-status node-test

node-build: ## Build the node's programs and images into the cache
	go run ./test/node/cmd/node build

node-up: ## Start a real one-node Kubernetes; it runs until node-down
	go run ./test/node/cmd/node up

node-down: ## Stop the node and remove its files
	go run ./test/node/cmd/node down

node-status: ## Show the node's status
	go run ./test/node/cmd/node status

node-test: ## Test the node itself
	go test -tags e2e -count=1 -timeout 60m -v ./test/node/
