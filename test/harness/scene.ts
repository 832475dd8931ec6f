/** The scene of a whole test file: an origin and a stage that stand before its first test, and are gone after its last. */
import { afterAll, beforeAll } from 'vitest';
import { type Answer, type RawOrigin, startRawOrigin } from './raw-origin.ts';
import { type Stage, type StageOptions, startStage } from './stage.ts';

interface SomeOrigin {
  readonly port: number;
  close(): Promise<void>;
}

export class Scene<AnOrigin extends SomeOrigin> {
  #origin: AnOrigin | undefined;
  #stage: Stage | undefined;

  get origin(): AnOrigin {
    return standing(this.#origin);
  }

  get stage(): Stage {
    return standing(this.#stage);
  }

  async open(startOrigin: () => Promise<AnOrigin>, options?: StageOptions): Promise<void> {
    this.#origin = await startOrigin();
    this.#stage = await startStage(this.#origin.port, options);
  }

  async close(): Promise<void> {
    await this.#stage?.close();
    await this.#origin?.close();
  }
}

/** For a test file that asks nothing of its origin but what each test says. */
export class ScriptedScene extends Scene<RawOrigin> {
  /** How the origin answers from now on. */
  script: Answer = () => {
    throw new Error('the test has not said how its origin answers');
  };
}

/** To be called at the top of a test file. */
export function sceneOfFile<AnOrigin extends SomeOrigin>(
  startOrigin: () => Promise<AnOrigin>,
  options?: StageOptions,
): Scene<AnOrigin> {
  return forWholeFile(new Scene<AnOrigin>(), startOrigin, options);
}

export function scriptedScene(options?: StageOptions): ScriptedScene {
  const scene = new ScriptedScene();
  return forWholeFile(scene, () => startRawOrigin((request) => scene.script(request)), options);
}

function forWholeFile<AnOrigin extends SomeOrigin, AScene extends Scene<AnOrigin>>(
  scene: AScene,
  startOrigin: () => Promise<AnOrigin>,
  options?: StageOptions,
): AScene {
  beforeAll(() => scene.open(startOrigin, options));
  afterAll(() => scene.close());
  return scene;
}

function standing<Part>(part: Part | undefined): Part {
  if (part === undefined) throw new Error('the scene does not stand yet: this belongs into a test or a hook');
  return part;
}
