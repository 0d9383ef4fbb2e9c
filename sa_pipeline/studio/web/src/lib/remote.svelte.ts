import { sentence } from '../api/client';

/** Something that the server is asked for: what came last, and whether it is being asked or has refused. */
export class Remote<T> {
  value = $state<T | undefined>();
  problem = $state('');
  loading = $state(false);
  private asked = 0;

  constructor(private readonly ask: () => Promise<T>) {}

  /** Asks (again); an answer that a later asking has overtaken is thrown away. */
  load = async (): Promise<void> => {
    const mine = ++this.asked;
    this.loading = true;
    try {
      const value = await this.ask();
      if (mine !== this.asked) return;
      this.value = value;
      this.problem = '';
    } catch (error) {
      if (mine === this.asked) this.problem = sentence(error);
    } finally {
      if (mine === this.asked) this.loading = false;
    }
  };
}
