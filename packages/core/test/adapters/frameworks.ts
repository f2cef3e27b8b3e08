import 'reflect-metadata'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { Body, Catch, Controller, Get, Module, Post, Req } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import express, { type ErrorRequestHandler } from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import * as forExpress from '../../src/adapters/express.ts'
import * as forFastify from '../../src/adapters/fastify.ts'
import * as forHono from '../../src/adapters/hono.ts'
import * as forNest from '../../src/adapters/nest.ts'
import type { TenantGate } from '../../src/resolve/gate.ts'
import type { Routes } from './routes.ts'

export interface RunningApp {
  readonly server: Server
  close(): Promise<void>
}

/** Starts an application with `routes` behind the adapter of one framework, on a free port of loopback. */
type Start = (gate: TenantGate, routes: Routes) => Promise<RunningApp>

const startHono: Start = async (gate, routes) => {
  const app = new Hono()
  app.use(forHono.tenantFromRequest(gate))
  app.get('/whoami', async (c) => c.json((await routes.whoami()) as object))
  app.post('/echo', async (c) => c.json((await routes.echo(await c.req.json())) as object))
  app.get('/throws', () => routes.throws())
  app.get('/hang', async (c) => c.json((await routes.hang()) as object))
  app.onError((error, c) => c.json(routes.failed(error) as object, 500))
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  return listen(server)
}

const startExpress: Start = async (gate, routes) => {
  const app = express()
  app.use(forExpress.tenantFromRequest(gate))
  app.use(express.json())
  app.get('/whoami', async (_request, response) => void response.json(await routes.whoami()))
  app.post('/echo', async (request, response) => void response.json(await routes.echo(request.body)))
  app.get('/throws', () => routes.throws())
  app.get('/hang', async (_request, response) => void response.json(await routes.hang()))
  const present: ErrorRequestHandler = (error, _request, response, _next) => {
    response.status(500).json(routes.failed(error))
  }
  app.use(present)
  return listen(createServer(app))
}

const startFastify: Start = async (gate, routes) => {
  const app = fastify()
  app.addHook('onRequest', forFastify.tenantFromRequest(gate))
  app.get('/whoami', () => routes.whoami())
  app.post('/echo', ({ body }) => routes.echo(body))
  app.get('/throws', () => routes.throws())
  app.get('/hang', () => routes.hang())
  app.setErrorHandler((error, _request, reply) => reply.code(500).send(routes.failed(error)))
  await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    server: app.server,
    close: async () => {
      app.server.closeAllConnections()
      await app.close()
    },
  }
}

/** Decorators are applied as the functions they are: the sources of this repository hold none. */
const startNest: Start = async (gate, routes) => {
  class Door {}
  const methods: Record<string, { value: (argument?: unknown) => Promise<unknown>; route: MethodDecorator }> = {
    readWhoami: { value: () => routes.whoami(), route: Get('whoami') },
    writeEcho: { value: (body) => routes.echo(body), route: Post('echo') },
    readThrows: { value: () => routes.throws(), route: Get('throws') },
    readHang: { value: () => routes.hang(), route: Get('hang') },
  }
  for (const [name, { value, route }] of Object.entries(methods)) {
    const descriptor = { value, writable: true, configurable: true, enumerable: false }
    Object.defineProperty(Door.prototype, name, descriptor)
    const parameter = name === 'writeEcho' ? Body() : Req()
    parameter(Door.prototype, name, 0)
    route(Door.prototype, name, descriptor)
  }
  Controller()(Door)
  class DoorModule {}
  Module({ controllers: [Door], providers: [forNest.provideRowhouse(gate)] })(DoorModule)
  class Present {
    catch(error: unknown, host: { switchToHttp(): { getResponse<T>(): T } }) {
      const response = host.switchToHttp().getResponse<ServerResponse>()
      const status = (error as { getStatus?: () => number }).getStatus?.() ?? 500
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(routes.failed(error)))
    }
  }
  Catch()(Present)
  const app = await NestFactory.create(DoorModule, { logger: false })
  app.use(forNest.tenantFromRequest(gate))
  app.useGlobalFilters(new Present())
  await app.listen(0, '127.0.0.1')
  if (app.get(forNest.ROWHOUSE) !== gate) throw new Error('the provider gave something else')
  const server = app.getHttpServer() as Server
  return {
    server,
    close: async () => {
      server.closeAllConnections()
      await app.close()
    },
  }
}

/** What a tutorial shows: a variable of the module. Everything the adapters are held to must fail here. */
export function startNaive(routes: (tenant: () => string | undefined) => Routes): Promise<RunningApp> {
  let current: string | undefined
  const served = routes(() => current)
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    current = request.headers.host?.split('.')[0]
    void served.whoami().then((answer) => response.end(JSON.stringify(answer)))
  })
  return listen(server)
}

/** Serves on a free port of loopback. */
export async function listen(server: Server): Promise<RunningApp> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    server,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)))
        server.closeAllConnections()
      }),
  }
}

export const frameworks: readonly (readonly [name: string, start: Start])[] = [
  ['hono', startHono],
  ['express', startExpress],
  ['fastify', startFastify],
  ['nest', startNest],
]
